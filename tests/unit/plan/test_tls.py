"""What a deploy does to HTTPS, and what `fab status` says of it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from cartwheel.hidden import Hidden
from cartwheel.host.wire.facts import Facts
from cartwheel.host.wire.tls import InstallTls, RemoveTls, TlsState
from cartwheel.plan.condition import conditions, health, in_front
from cartwheel.plan.host_plan import Tls
from cartwheel.plan.refusals import refusals
from cartwheel.plan.tls import Brought, plan_tls, tls_notes, tls_refusals
from cartwheel.settings import certificates
from cartwheel.settings.toml_tables import Balancer, Settings
from tests.kit.certificates import Issued, certificate
from tests.unit.answers import facts, status

NAME = "shop.example.org"
SITE = "listen 443 ssl;"
ONE, TWO = certificate(NAME), certificate(NAME)
UNTIL = certificates.read(ONE.pem).until
NOW = UNTIL - 63.5 * 86400
DAY = certificates.read(ONE.pem).day
SERVES = f"serves {NAME} until {DAY} (63 days)"
PAIR = {"certificate": "a.pem", "key": "a.key"}
ON_HOST = {"host_certificate": "/a.pem", "host_key": "/a.key"}


def settings(**tls: Any) -> Settings:
    app = {"name": "shop", "source": "."}
    return Settings.model_validate({"app": app, "web": {"server_names": [NAME]}, "tls": tls})


def brought(one: Issued) -> Brought:
    return Brought(certificates.check(one.pem.encode(), (NAME,), [], NOW)[0], Hidden(one.key))


def there(live: str, site: str = SITE, pem: str = ONE.pem, **more: Any) -> Facts:
    def change(known: dict[str, Any]) -> None:
        digest = hashlib.sha256(site.encode()).hexdigest() if site else ""
        known["host"]["time"] = NOW
        known["tls"] = {"live": live, "site": digest, "certificate": pem, **more}

    return facts(change)


def bare() -> Facts:
    return facts(lambda known: known["host"].update(time=NOW))


def planned(known: Facts, one: Issued | None = ONE, **tls: Any) -> Tls | None:
    have = brought(one) if one else None
    return plan_tls(settings(**(tls or PAIR)), known, SITE, have, has_web=True)


def test_a_first_certificate() -> None:
    found = planned(bare())
    assert found is not None
    assert found.what == f"begins to {SERVES.replace('serves', 'serve')}"
    asked = found.request
    assert isinstance(asked, InstallTls)
    assert asked.files is not None
    assert (asked.files.name, asked.files.certificate) == (brought(ONE).name, ONE.pem)
    assert (asked.site, asked.server_names) == (SITE, (NAME,))
    assert ONE.key not in repr(found), "the key never shows"


def test_nothing_happens_where_it_is_served() -> None:
    assert planned(there(brought(ONE).name)) == Tls(SERVES)


def test_a_renewed_certificate_and_other_settings() -> None:
    for known, what in (
        (there(brought(TWO).name), f"another certificate, {SERVES}"),
        (there(brought(ONE).name, "listen 8443 ssl;"), f"other settings, {SERVES}"),
        (there(brought(ONE).name, is_watched=False), f"its units are not whole, {SERVES}"),
        (there(brought(ONE).name, pem=""), f"another certificate, {SERVES}"),
        (there(""), f"another certificate, {SERVES}"),
        (there(brought(ONE).name, site=""), f"begins to serve {SERVES.removeprefix('serves ')}"),
    ):
        found = planned(known)
        assert found is not None
        assert found.what == what
        assert isinstance(found.request, InstallTls)


def test_a_key_alone_makes_another_set() -> None:
    assert brought(ONE).name != Brought(brought(ONE).pair, Hidden(TWO.key)).name


def test_files_of_the_host() -> None:
    first = planned(bare(), None, **ON_HOST)
    assert first is not None
    assert first.what == f"begins to serve {NAME} with /a.pem"
    assert isinstance(first.request, InstallTls)
    assert first.request.files is None
    assert planned(there(""), None, **ON_HOST) == Tls(SERVES)


def test_another_sites_certificate_on_the_host_is_a_note() -> None:
    one, other = settings(**ON_HOST), certificate("other.example.org")
    assert list(tls_notes(one, there(""), None)) == []
    assert list(tls_notes(one, bare(), None)) == []
    found = list(tls_notes(one, there("", pem=other.pem), None))
    assert found == [f"/a.pem is not for {NAME}"]
    soon = Brought(replace(brought(ONE).pair, notes=("it ends",)), Hidden(""))
    assert list(tls_notes(settings(**PAIR), bare(), soon)) == ["it ends"]


@pytest.mark.parametrize("has_web", [True, False])
def test_it_goes_with_the_settings_or_with_web(has_web: bool) -> None:
    one = settings(**({} if has_web else PAIR))
    assert plan_tls(one, bare(), "", None, has_web=has_web) is None
    assert plan_tls(one, there("x"), "", None, has_web=has_web) == Tls("is removed", RemoveTls())


def refused(change: Any, **web: Any) -> list[str]:
    one = settings(**PAIR).model_copy()
    if web:
        one = Settings.model_validate({**one.model_dump(), "web": web})
    return [
        reason.slug
        for reason in refusals(one, facts(change))
        if "tls" in reason.message or "443" in reason.message
    ]


def test_the_port_of_another() -> None:
    assert refused(lambda known: known["ports"].update({"443": "haproxy"})) == ["port-taken"]
    assert refused(lambda known: known["ports"].update({"443": "nginx"})) == []
    other = {"file": "/x", "ports": [443], "names": [NAME], "default_ports": [443]}
    assert refused(lambda known: known.update(servers=[other])) == ["server-name-taken"]
    nameless = refused(lambda known: known.update(servers=[other]), server_names=[])
    assert nameless == ["server-name-needed"]


# -- fab status


def state(served: str = ONE.pem, days_left: float = 63.5, **more: Any) -> dict[str, Any]:
    values = {
        "path": "/srv/shop/tls/live/fullchain.pem",
        "port": 443,
        "is_ours": True,
        "certificate": ONE.pem,
        "served": served,
        "problem": "",
        "time": UNTIL - days_left * 86400,
    }
    return {**values, **more}


def judged(tls: dict[str, Any] | None) -> tuple[str, list[str]]:
    one = status(tls=tls)
    found = conditions("web1", one)
    about = [f"{finding.level}: {finding.detail}" for finding in found if finding.what == "https"]
    return health(found, one), about


def test_the_days_left_are_shown() -> None:
    assert judged(None) == ("healthy", [])
    assert judged(state()) == ("healthy", [f"ok: the certificate ends on {DAY}, in 63 days"])


def test_a_fifth_of_the_lifetime_is_too_little() -> None:
    """It has 90 days."""
    assert judged(state(days_left=18.1))[0] == "healthy"
    assert judged(state(days_left=17.9)) == (
        "AT RISK",
        [f"PROBLEM: the certificate ends on {DAY}, in 17 days"],
    )


def test_an_expired_one_turns_visitors_away() -> None:
    assert judged(state(days_left=-1)) == (
        "UNHEALTHY",
        [f"PROBLEM: the certificate has expired on {DAY}"],
    )


def test_another_one_is_served_than_the_file_holds() -> None:
    (said,) = judged(state(served=TWO.pem))[1]
    assert said.startswith("PROBLEM: another certificate is served than /srv/shop/tls/live/full")


def test_nothing_is_served() -> None:
    found = judged(state(served="", problem="port 443: no handshake: connection refused"))
    assert found == ("UNHEALTHY", ["PROBLEM: https: port 443: no handshake: connection refused"])


def test_what_tls_status_shows() -> None:
    from cartwheel.terminal.tls import rows

    def shown(**more: Any) -> list[tuple[str, ...]]:
        return list(rows(TlsState(**{**state(), **more})))

    issuer = NAME  # it signed itself
    assert shown() == [("deploy", NAME, issuer, DAY, "63", "yes", "-", "-")]
    assert shown(is_ours=False, path="/a.pem")[0][0] == "/a.pem"
    assert shown(served=TWO.pem)[0][-3] == f"another, until {DAY}"
    assert shown(certificate="", problem="no file") == [
        ("deploy", "-", "-", "-", "-", f"another, until {DAY}", "-", "-")
    ]
    assert list(rows(None)) == []


# -- at a balancer


def behind(**tls: Any) -> Settings:
    return settings(**(tls or PAIR)).model_copy(update={"balancer": Balancer(kind="nginx")})


def at_balancer(known: Facts, one: Issued | None = ONE, **tls: Any) -> Tls | None:
    have = brought(one) if one else None
    return plan_tls(behind(**tls), known, SITE, have, has_web=True, end="balancer")


def test_a_balancer_gets_the_certificate_and_its_site_serves_it() -> None:
    found = at_balancer(bare())
    assert found is not None
    assert isinstance(found.request, InstallTls)
    assert found.request.end == "balancer"
    assert at_balancer(there(brought(ONE).name, end="balancer")) == Tls(SERVES)


def test_hosts_behind_it_serve_none_any_more() -> None:
    """But only once the balancers do; and what the balancer on the same host serves is its own."""

    def of_host(known: Facts, until: str = "") -> Tls | None:
        return plan_tls(behind(), known, "", None, has_web=True, until=until)

    assert of_host(bare()) is None
    own = there(brought(ONE).name)
    assert of_host(own) == Tls("is removed", RemoveTls())
    assert of_host(own, "lb1 serves it") == Tls("goes on until lb1 serves it")
    assert of_host(there(brought(ONE).name, end="balancer")) is None


def test_without_tls_a_balancer_serves_none_any_more() -> None:
    bare_settings = settings().model_copy(update={"balancer": Balancer(kind="nginx")})
    for end, what in (("balancer", Tls("is removed", RemoveTls())), ("app", None)):
        known = there(brought(ONE).name, end=end)
        found = plan_tls(bare_settings, known, "", None, has_web=True, end="balancer")
        assert found == what


def test_on_the_way_back_the_hosts_take_it_over() -> None:
    found = planned(there(brought(ONE).name, end="balancer", site="other"))
    assert found is not None
    assert isinstance(found.request, InstallTls)
    assert found.request.end == "app"


def test_the_port_counts_where_https_ends() -> None:
    taken = facts(lambda known: known.update(ports={"443": "haproxy"}))
    assert "port-taken" not in [one.slug for one in refusals(behind(), taken)]
    (found,) = tls_refusals(behind(), taken, end="balancer")
    assert found.slug == "port-taken"


def served_by(one: Issued | None = ONE, **more: Any) -> TlsState:
    pem = one.pem if one else ""
    known = {"path": "/a.pem", "port": 443, "is_ours": True, "problem": "", "time": NOW, **more}
    return TlsState(certificate=pem, served=pem, **{"end": "balancer", **known})


@pytest.mark.parametrize(
    ("state", "names", "level", "says"),
    [
        (served_by(), [NAME], "ok", f"the certificate ends on {DAY}, in 63 days"),
        (served_by(time=UNTIL - 86400.5), [NAME], "PROBLEM", "in 1 days"),
        (served_by(time=UNTIL + 1), [NAME], "PROBLEM", "has expired"),
        (served_by(), [NAME, "www.example.org"], "PROBLEM", "is not for www.example.org"),
        (served_by(None, problem="port 443: no handshake"), [NAME], "PROBLEM", "no handshake"),
        (served_by(end="app"), [NAME], "PROBLEM", "HTTPS is not served"),
        (None, [NAME], "PROBLEM", "HTTPS is not served"),
    ],
)
def test_what_a_balancer_serves(
    state: TlsState | None, names: list[str], level: str, says: str
) -> None:
    found = in_front("lb1", state, names)[-1]
    assert (found.host, found.level) == ("lb1", level)
    assert says in found.detail
    assert level == "ok" or "`fab balancer.setup`" in found.todo or "no handshake" in says
