"""What a deploy does where hosts ask a certificate authority for their certificate."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.facts import Facts
from cartwheel.host.wire.tls import InstallAcme, Order
from cartwheel.plan.acme import dns_notes, order_of, too_many_hosts
from cartwheel.plan.condition import conditions, health
from cartwheel.plan.host_plan import Tls
from cartwheel.plan.refusals import refusals
from cartwheel.plan.tls import plan_tls, tls_notes
from cartwheel.settings import certificates
from cartwheel.settings.toml_tables import Balancer, Settings
from cartwheel.terminal.tls import rows
from tests.kit.certificates import certificate
from tests.unit.answers import facts, status

NAME = "shop.example.org"
DIRECTORY = "https://ca.example.org/dir"
SITE = "listen 443 ssl;"
ONE = certificate(NAME)
KNOWN = certificates.read(ONE.pem)
LIFE = KNOWN.until - KNOWN.begin
FRESH = KNOWN.until - 63.5 * 86400
SERVES = f"serves {NAME} until {KNOWN.day} (63 days)"
ASKS = f"asks {DIRECTORY} for a certificate for {NAME}"


def settings(**tls: Any) -> Settings:
    app = {"name": "shop", "source": "."}
    tls = {"acme": True, "directory": DIRECTORY, **tls}
    return Settings.model_validate({"app": app, "web": {"server_names": [NAME]}, "tls": tls})


ORDER = order_of(settings(), "")


def there(now: float = FRESH, **more: Any) -> Facts:
    def change(known: dict[str, Any]) -> None:
        known["host"]["time"] = now
        known["tls"] = {
            "live": "0" * 12,
            "site": hashlib.sha256(SITE.encode()).hexdigest(),
            "certificate": ONE.pem,
            "order": to_json(ORDER),
            "failed": "",
            **more,
        }

    return facts(change)


def planned(known: Facts, order: Order = ORDER, site: str = SITE) -> Tls:
    found = plan_tls(settings(), known, site, order, has_web=True)
    assert found is not None
    return found


def test_the_order() -> None:
    one = Settings.model_validate(
        {
            "app": {"name": "shop", "source": "."},
            "web": {"server_names": ["Shop.Example.org"]},
            "tls": {"acme": True, "mail": "ops@example.org"},
        }
    )
    lets_encrypt = "https://acme-v02.api.letsencrypt.org/directory"
    assert order_of(one, "r") == Order((NAME,), lets_encrypt, "ops@example.org", "r")


def test_a_first_certificate_is_asked_for() -> None:
    found = planned(facts())
    assert (found.what, found.asks_for) == (ASKS, (NAME,))
    assert found.request == InstallAcme(ORDER, SITE)


def test_nothing_happens_where_it_is_served() -> None:
    assert planned(there()) == Tls(SERVES)


@pytest.mark.parametrize(
    "known",
    [
        there(certificate=""),
        there(order=None),
        there(certificate=certificate(NAME, "www.example.org").pem),
        there(order={**to_json(ORDER), "directory": "https://other.example.org/dir"}),
        there(order={**to_json(ORDER), "mail": "ops@example.org"}),
        there(KNOWN.until - LIFE * 0.33),
    ],
    ids=["no certificate", "files", "other names", "another authority", "another account", "due"],
)
def test_it_is_asked_for(known: Facts) -> None:
    found = planned(known)
    assert found.what == ASKS
    assert isinstance(found.request, InstallAcme)


@pytest.mark.parametrize(
    ("known", "what"),
    [
        (there(KNOWN.until - LIFE * 0.34), None),
        (there(site=""), f"other settings, {SERVES}"),
        (there(order={**to_json(ORDER), "roots": "r"}), f"other settings, {SERVES}"),
        (there(is_watched=False), f"its units are not whole, {SERVES}"),
        (there(failed="nginx was broken"), f"tries again what failed, {SERVES}"),
    ],
)
def test_a_certificate_that_fits_is_not_asked_for_again(known: Facts, what: str | None) -> None:
    found = planned(known)
    assert found.asks_for == ()
    if what is None:
        assert found.request is None
    else:
        assert found.what == what
        assert isinstance(found.request, InstallAcme)


def test_files_instead_end_the_order() -> None:
    """Also where their certificate is served already: the host would go on asking."""
    on_host = {"host_certificate": "/a.pem", "host_key": "/a.key"}
    one = Settings.model_validate({**settings().model_dump(), "tls": on_host})
    for order in (None, to_json(ORDER)):
        found = plan_tls(one, there(live="", order=order), SITE, None, has_web=True)
        assert found is not None
        assert (found.request is None) is (order is None)


def test_the_last_failure_is_a_note() -> None:
    known = there(failed="rateLimited: too many")
    (said,) = tls_notes(settings(), known, ORDER)
    assert said == "the last try to get a certificate failed: rateLimited: too many"
    assert list(tls_notes(settings(), there(), ORDER)) == []


def test_a_host_without_certbot_is_refused() -> None:
    found = [one.slug for one in refusals(settings(), facts())]
    assert "no-certbot" in found
    has_it = facts(lambda known: known.update(certbot=True))
    assert "no-certbot" not in [one.slug for one in refusals(settings(), has_it)]
    assert "no-certbot" not in [one.slug for one in refusals(settings(), facts(), has_web=False)]


def test_more_than_four_hosts_are_too_many() -> None:
    assert too_many_hosts(settings(), 4) == ""
    said = too_many_hosts(settings(), 5)
    assert said.startswith("tls.acme: 5 hosts run web, and each asks")
    assert "tls.certificate or tls.host_certificate" in said
    behind = settings().model_copy(update={"balancer": Balancer(kind="nginx")})
    assert too_many_hosts(behind, 5).startswith("tls.acme: there are 5 balancers, and each asks")


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (["192.0.2.1"], []),
        (None, []),
        ([], [f"{NAME} has no address (DNS), as this machine sees it: the authority needs one"]),
        (
            ["192.0.2.1", "2001:db8::1"],
            [f"{NAME} has the AAAA 2001:db8::1, which is not this host, as this machine sees it"],
        ),
        (["192.0.2.9"], [f"{NAME} has the A 192.0.2.9, which is not this host"]),
    ],
)
def test_advice_about_addresses(found: list[str] | None, says: list[str]) -> None:
    given = list(dns_notes({NAME: found}, {"web1": ["192.0.2.1"]}))
    assert len(given) == len(says)
    assert all(one.startswith(said) for one, said in zip(given, says, strict=True))


def test_advice_about_several_hosts() -> None:
    hosts = {"web1": ["192.0.2.1"], "web2": ["192.0.2.2"]}
    assert list(dns_notes({NAME: ["192.0.2.2"]}, hosts)) == []
    (said,) = dns_notes({NAME: ["192.0.2.9"]}, hosts)
    assert "which is none of the hosts" in said


# -- fab status


def state(**more: Any) -> dict[str, Any]:
    values = {
        "path": "/srv/shop/tls/live/fullchain.pem",
        "port": 443,
        "is_ours": True,
        "certificate": ONE.pem,
        "served": ONE.pem,
        "problem": "",
        "time": FRESH,
        "directory": DIRECTORY,
        "failed": "",
    }
    return {**values, **more}


NONE_YET = {"path": "", "port": 0, "certificate": "", "served": "", "problem": "there is none yet"}


def judged(**more: Any) -> tuple[str, list[str]]:
    one = status(tls=state(**more))
    about = [one for one in conditions("web1", one) if one.what in ("https", "certificate")]
    return health(about, one), [f"{one.level}: {one.detail}; {one.todo}" for one in about]


def test_a_failed_renewal_is_named_before_it_is_a_problem() -> None:
    assert judged()[1] == [f"ok: the certificate ends on {KNOWN.day}, in 63 days; "]
    how, said = judged(failed="rateLimited")
    assert how == "healthy"
    assert said[0].startswith("note: the last try failed: rateLimited; `fab tls.renew -H web1`")


def test_a_fifth_of_the_lifetime_is_too_little() -> None:
    how, said = judged(time=KNOWN.until - LIFE * 0.19)
    assert how == "AT RISK"
    assert "`fab tls.renew -H web1` asks again at once" in said[0]


def test_without_a_first_certificate_the_site_still_answers() -> None:
    how, said = judged(**NONE_YET)
    assert how == "AT RISK", "over plain HTTP"
    assert said[0].startswith("PROBLEM: https: there is none yet; `fab tls.renew")


def test_what_tls_status_shows() -> None:
    from cartwheel.host.wire.tls import TlsState

    def shown(**more: Any) -> list[tuple[str, ...]]:
        return list(rows(TlsState(**state(**more))))

    def day(at: float) -> str:
        return certificates.Certificate((), "", 0, at).day

    ((source, *_names, is_served, renewed, error),) = shown(failed="rateLimited")
    assert (source, is_served, error) == (f"acme {DIRECTORY}", "yes", "rateLimited")
    assert renewed == day(KNOWN.until - LIFE / 3)
    assert shown(time=KNOWN.until - 1)[0][-2] == KNOWN.day, "at once"
    assert shown(**NONE_YET)[0][-3:] == ("there is none yet", "-", "-")
