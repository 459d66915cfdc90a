"""A certificate from an authority on a host: asked for once, renewed in time, and in order wherever
it is cut off. certbot is a stand-in that writes what certbot 2.1 writes."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host import certificate as program
from cartwheel.host.layout import Layout
from cartwheel.host.look import tls as tls_look
from cartwheel.host.release import leftovers
from cartwheel.host.state import journal
from cartwheel.host.system import children, files
from cartwheel.host.system.context import OpError
from cartwheel.host.web import acme, certbot, lineages, order, tls, tls_change
from cartwheel.host.web.lineages import Lineage
from cartwheel.host.web.order import Tried, Validity
from cartwheel.host.wire.tls import InstallAcme, Order, RemoveTls, RenewTls
from tests.kit.certificates import Issued, certificate
from tests.kit.tiers import tiered
from tests.unit.host.test_switch import dying_before
from tests.unit.host.test_tls import SITE, Stage, stage

__all__ = ["stage"]  # a fixture

NAME = "shop.example.org"
ONE, TWO, THREE = (certificate(NAME, days=(-1, 89)) for _each in range(3))
SHORT = certificate(NAME, days=(-70, 20))
BOTH = certificate(NAME, "www.example.org", days=(-1, 89))
ORDER = Order((NAME,), "https://ca.example.org/dir", "", "")


class Authority:
    """certbot and the authority behind it: gives what is `next`, or refuses."""

    def __init__(self, at: Layout) -> None:
        self.at = at
        self.next: Issued | None = ONE
        self.log = ""
        self.asked: list[list[str]] = []
        self.file = at.base / "asked"  # outlives a killed process

    def run(self, _ctx: object, argv: list[str], **more: Any) -> children.Done:
        words = argv[argv.index("certonly") - 1 :]
        self.asked.append(words)
        home = Path(words[words.index("--config-dir") + 1])
        one = Lineage(home, words[words.index("--cert-name") + 1])
        one.log.parent.mkdir(parents=True, exist_ok=True)
        one.log.write_text(self.log)
        (self.at.acme_webroot / ".well-known/acme-challenge").mkdir(parents=True)
        issued = self.next
        if issued is None or "--dry-run" in words:
            return children.Done(0 if issued else 1, "")
        if one.chain.parent.exists() and not (home / "renewal/shop.conf").exists():
            one.log.write_text(
                f"certbot.errors.CertStorageError: live directory exists for {one.app}"
            )
            return children.Done(1, "")
        for folder in ("renewal", "keys"):
            (home / folder).mkdir(exist_ok=True)
        for folder in ("archive", "live"):
            (home / folder / one.app).mkdir(parents=True, exist_ok=True)
        number = len(list((home / "archive/shop").glob("fullchain*"))) + 1
        for kind, text in (("privkey", issued.key), ("fullchain", issued.pem)):
            (home / f"archive/shop/{kind}{number}.pem").write_text(text)
            link = home / f"live/shop/{kind}.pem"
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../archive/shop/{kind}{number}.pem")
        (home / "renewal/shop.conf").write_text("version = 2.1.0\n")
        return children.Done(0, "")


@pytest.fixture
def authority(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    one, real = Authority(stage.at), stage.run

    def run(ctx: object, argv: list[str], *args: Any, **more: Any) -> children.Done:
        if "certonly" in argv:
            return one.run(ctx, argv, **more)
        return real(ctx, argv, *args, **more)

    monkeypatch.setattr(children, "run", run)
    monkeypatch.setattr(certbot, "is_there", lambda: True)
    monkeypatch.setattr(files, "sync_filesystem", lambda _path: None)
    yield one


def request(stage: Stage, known: Order = ORDER) -> InstallAcme:
    return InstallAcme(known, SITE.format(stage.at.tls_live / "fullchain.pem"))


def install(stage: Stage, known: Order = ORDER) -> bool:
    return bool(acme.install(stage.session.ctx(), request(stage, known)).changed)


def by_timer(stage: Stage) -> int:
    return program.main(["shop", str(stage.at.base)])


def test_a_first_certificate(stage: Stage, authority: Authority) -> None:
    assert install(stage)
    assert stage.served == ONE.der
    assert stage.enabled == {"cartwheel-shop_tls.timer"}
    assert "RandomizedDelaySec=" in stage.at.tls_unit("timer").read_text()
    assert stage.journal == [("tls", "done")]
    (words,) = authority.asked
    for said in (
        ["--server", ORDER.directory],
        ["--cert-name", "shop"],
        ["--domain", NAME],
        ["--webroot-path", str(stage.at.acme_webroot)],
        ["--register-unsafely-without-email"],
    ):
        assert " ".join(said) in " ".join(words)
    assert "/etc/letsencrypt" not in " ".join(words)
    assert not certbot.is_cut_off(stage.at), "the answers to challenges are gone"
    assert not (lineages.home_of(ORDER) / "keys").exists(), "no second copy of a key stays"
    for path in (*stage.at.tls.rglob("*"), lineages.top(), lineages.home_of(ORDER)):
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_unchanged_deploy_asks_nobody(stage: Stage, authority: Authority) -> None:
    install(stage)
    stage.reloads = 0
    assert not install(stage)
    assert (len(authority.asked), stage.reloads) == (1, 0)


def test_other_settings_ask_nobody(stage: Stage, authority: Authority) -> None:
    install(stage)
    site = SITE.format(stage.at.tls_live / "fullchain.pem").replace("443", "8443")
    assert acme.install(stage.session.ctx(), InstallAcme(ORDER, site)).changed
    assert len(authority.asked) == 1
    assert "8443" in tls.site_text(stage.at)


def test_more_names_are_asked_for(stage: Stage, authority: Authority) -> None:
    install(stage)
    authority.next = BOTH
    assert install(stage, Order((NAME, "www.example.org"), ORDER.directory, "", ""))
    assert stage.served == BOTH.der


def test_what_fails_leaves_what_is_served(stage: Stage, authority: Authority) -> None:
    install(stage)
    authority.next = None
    authority.log = '{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many"}'
    before, served = stage.there, stage.served
    with pytest.raises(OpError) as caught:
        install(stage, Order((NAME, "www.example.org"), ORDER.directory, "", ""))
    assert caught.value.slug == "acme"
    assert caught.value.message == (
        f"{ORDER.directory} gave no certificate for {NAME}, www.example.org:"
        " urn:ietf:params:acme:error:rateLimited: too many"
    )
    kept = ("tls/acme.json", "tls/tried.json")
    assert {k: v for k, v in stage.there.items() if k not in kept} == {
        k: v for k, v in before.items() if k not in kept
    }
    assert stage.served == served
    assert stage.journal[-1] == ("tls", "failed")
    assert order.failed(stage.at) == caught.value.message


def test_a_first_failure_is_tried_again_by_the_timer_once_an_hour(
    stage: Stage, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_PAUSE_SECONDS", 0.0)
    authority.next = None
    with pytest.raises(OpError):
        install(stage)
    assert not tls.site_text(stage.at)
    assert stage.enabled == {"cartwheel-shop_tls.timer"}
    known = tls.state(stage.at)
    assert known is not None
    assert (known.path, known.problem) == ("", "there is no certificate yet")
    assert "gave no certificate" in known.failed
    lines = len(stage.journal)
    authority.next = ONE
    assert by_timer(stage) == 0
    assert len(authority.asked) == 1, "not again at once"
    authority.next = None
    files.write_json(stage.at.tls_tried, {"time": time.time() - 3600, "failed": known.failed})
    assert by_timer(stage) == 1
    assert (len(authority.asked), len(stage.journal)) == (2, lines), "the same again is no news"
    files.write_json(stage.at.tls_tried, {"time": time.time() - 3600, "failed": known.failed})
    authority.next = ONE
    assert by_timer(stage) == 0
    assert (stage.served, order.failed(stage.at)) == (ONE.der, "")


def test_a_try_that_was_cut_off_is_not_forgotten(stage: Stage, authority: Authority) -> None:
    """The certificate of files is still served, and fits: only this says that there is work."""
    stage.install(TWO, "b" * 12)
    order.keep(stage.at, order.Kept(ORDER, request(stage).site))
    known = tls_look.there(stage.at)
    assert known is not None
    assert "cut off" in known.failed
    assert by_timer(stage) == 0
    assert (stage.served, order.failed(stage.at)) == (ONE.der, "")
    order.keep(stage.at, order.Kept(ORDER, "other"))
    assert order.failed(stage.at) == "", "another site is no other order"
    order.keep(stage.at, order.Kept(Order((NAME,), "https://b.example/", "", ""), "other"))
    assert "cut off" in order.failed(stage.at)


def test_the_timer_renews_what_is_due(stage: Stage, authority: Authority) -> None:
    authority.next = SHORT
    with pytest.raises(OpError):
        install(stage)  # it is due at once: no authority would give that
    authority.next = ONE
    install(stage)
    one = Lineage(lineages.home_of(ORDER), "shop")
    for path, text in ((one.chain, SHORT.pem), (one.key, SHORT.key)):
        path.resolve().write_text(text)
    authority.next = TWO
    stage.reloads = 0
    assert by_timer(stage) == 0
    assert (stage.served, stage.reloads) == (TWO.der, 1)


def test_never_while_a_switch_is_pending(stage: Stage, authority: Authority) -> None:
    order.keep(stage.at, order.Kept(ORDER, "x"))
    stage.at.pending.write_text("{}")
    assert by_timer(stage) == 0
    assert authority.asked == []


def test_what_was_not_loaded_is_loaded_without_asking_again(
    stage: Stage, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_PAUSE_SECONDS", 0.0)
    install(stage)
    authority.next, stage.refuses = TWO, "[emerg] unknown directive"
    with pytest.raises(OpError, match="unknown directive"):
        acme.renew(stage.session.ctx(), RenewTls(dry_run=False))
    assert stage.served == ONE.der
    files.write_json(stage.at.tls_tried, {"time": time.time() - 3600, "failed": "that"})
    stage.refuses = ""
    assert by_timer(stage) == 0
    assert (stage.served, len(authority.asked)) == (TWO.der, 2)


def test_a_renewal_on_request(stage: Stage, authority: Authority) -> None:
    with pytest.raises(OpError) as caught:
        acme.renew(stage.session.ctx(), RenewTls(dry_run=False))
    assert caught.value.slug == "no-acme"
    install(stage)
    authority.next = TWO
    before = stage.there
    assert not acme.renew(stage.session.ctx(), RenewTls(dry_run=True)).changed
    assert "--dry-run" in authority.asked[-1]
    assert stage.there == before
    assert acme.renew(stage.session.ctx(), RenewTls(dry_run=False)).changed
    assert stage.served == TWO.der


def test_the_same_certificate_again_is_a_failure(stage: Stage, authority: Authority) -> None:
    """certbot's exit code is 0 then."""
    install(stage)
    authority.next = None
    with pytest.raises(OpError, match="gave no certificate"):
        acme.renew(stage.session.ctx(), RenewTls(dry_run=False))


def test_lets_encrypt_has_a_directory_for_dry_runs(stage: Stage, authority: Authority) -> None:
    known = Order((NAME,), "https://acme-v02.api.letsencrypt.org/directory", "a@example.org", "")
    install(stage, known)
    acme.renew(stage.session.ctx(), RenewTls(dry_run=True))
    words = authority.asked[-1]
    assert words[words.index("--server") + 1].startswith("https://acme-staging-v02.")
    assert words[words.index("--email") + 1] == "a@example.org"


def test_an_account_that_the_authority_has_forgotten(stage: Stage, authority: Authority) -> None:
    authority.log = '{"type": "urn:ietf:params:acme:error:accountDoesNotExist", "detail": "x"}'
    accounts = lineages.home_of(ORDER) / "accounts"
    accounts.mkdir(parents=True)
    install(stage)
    assert len(authority.asked) == 2
    assert not accounts.exists()


@pytest.mark.parametrize("left", ["", '{"body": {}, "uri":', "{}"])
def test_an_account_that_a_power_cut_has_left(
    stage: Stage, authority: Authority, left: str
) -> None:
    """certbot refuses what it cannot read, whatever is asked."""
    account = lineages.home_of(ORDER) / "accounts/ca.example.org/dir/0123"
    account.mkdir(parents=True)
    (account / "meta.json").write_text("{}")
    (account / "regr.json").write_text(left)
    install(stage)
    assert len(authority.asked) == 1
    assert account.exists() == (left == "{}")


def test_a_nonce_that_was_refused_is_no_failure(stage: Stage, authority: Authority) -> None:
    authority.log, authority.next = '{"type": "urn:ietf:params:acme:error:badNonce"}', None
    with pytest.raises(OpError, match="badNonce"):
        install(stage)
    assert len(authority.asked) == 3
    authority.next = ONE
    install(stage)
    assert len(authority.asked) == 4


def test_a_private_root_is_trusted_beside_the_systems(
    stage: Stage, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certbot, "_system_roots", lambda: b"system\n")
    install(stage, Order((NAME,), ORDER.directory, "", "private\n"))
    assert stage.at.tls_roots.read_bytes() == b"system\nprivate\n"


# -- it goes


def _gone(stage: Stage) -> None:
    assert not lineages.top().exists()
    assert not stage.at.acme_webroot.exists()
    assert not stage.at.tls_order.exists()


def test_files_take_its_place_and_back(stage: Stage, authority: Authority) -> None:
    install(stage)
    tls_change.install(stage.session.ctx(), stage.request(TWO, "b" * 12))
    assert stage.served == TWO.der
    _gone(stage)
    install(stage)
    assert stage.served == ONE.der


def test_without_tls_the_lineage_goes(stage: Stage, authority: Authority) -> None:
    install(stage)
    tls_change.remove(stage.session.ctx(), RemoveTls())
    _gone(stage)
    assert (stage.served, stage.enabled) == (b"", set())
    assert not stage.at.tls.exists()


def test_another_directory_has_another_lineage(stage: Stage, authority: Authority) -> None:
    install(stage)
    other = Order((NAME,), "https://other.example.org/dir", "", "")
    authority.next = TWO
    install(stage, other)
    assert lineages.homes() == [lineages.home_of(other)]
    assert stage.served == TWO.der


def test_lineages_of_others_stay(stage: Stage, authority: Authority) -> None:
    install(stage)
    other = lineages.home_of(ORDER) / "renewal/blog.conf"
    other.write_text("x")
    assert tls_change.uninstall(stage.session.ctx(), stage.at)
    assert other.exists()
    assert not (lineages.home_of(ORDER) / "live/shop").exists()


# -- cut off


def _swap(stage: Stage) -> None:
    tls_change.install(stage.session.ctx(), stage.request(TWO, "b" * 12))


def _renew(stage: Stage) -> None:
    acme.renew(stage.session.ctx(), RenewTls(dry_run=False))


def _remove(stage: Stage) -> None:
    tls_change.remove(stage.session.ctx(), RemoveTls())


def _move(stage: Stage) -> bool:
    """To the balancer on this host, with more names."""
    asked = request(stage, Order((NAME, "www.example.org"), ORDER.directory, "", ""))
    return bool(acme.install(stage.session.ctx(), replace(asked, end="balancer")).changed)


@pytest.mark.parametrize("every", tiered([7, 1], nightly=[1]))
@pytest.mark.parametrize("change", [install, _renew, _swap, _move, _remove])
def test_cut_off_anywhere_it_is_put_in_order(
    stage: Stage, authority: Authority, change: Callable[[Stage], object], every: int
) -> None:
    """Killed before so many system calls in turn: what is served fits what is on the disk, nothing
    is left over, and the same again comes to its end."""
    number = -every
    while True:
        number += every
        assert number < 600
        _reset(stage)
        if change is not install:
            authority.next = ONE
            install(stage)
        authority.next = BOTH if change is _move else TWO
        if not dying_before(number, lambda: change(stage)):
            break
        tls_change.settle(stage.at, lambda _text: None)
        for one in leftovers._certificates(stage.at, None):  # type: ignore[arg-type]  # not used
            files.remove_tree(one.path)
        how = tls.served_as(stage.at)
        on_disk = tls.certificate_in(how.certificate) if how else ""
        assert stage.served == (ssl.PEM_cert_to_DER_cert(on_disk) if on_disk else b""), number
        assert not certbot.is_cut_off(stage.at)
        last = THREE if change is _renew else BOTH if change is _move else TWO
        authority.next, wanted = last, b"" if change is _remove else last.der
        change(stage)
        assert stage.served == wanted, number
        assert len(stage.ends) <= 1


def test_a_balancer_takes_it_over_from_the_site_on_its_host(
    stage: Stage, authority: Authority
) -> None:
    """While the authority refuses, the application's site goes on; nothing is asked for twice."""
    install(stage)
    authority.next = None
    with pytest.raises(OpError):
        _move(stage)
    assert (stage.served, stage.ends) == (ONE.der, ["app"])
    files.write_json(stage.at.tls_tried, {"time": 0.0, "failed": "x"})
    authority.next = BOTH
    assert by_timer(stage) == 0
    assert (stage.served, stage.ends) == (BOTH.der, ["balancer"])
    asked = len(authority.asked)
    assert not _move(stage)
    assert len(authority.asked) == asked


def _reset(stage: Stage) -> None:
    for path in (stage.at.tls, stage.at.acme_webroot, lineages.top()):
        files.remove_tree(path)
    stage.served = b""


@pytest.mark.parametrize("torn", ["renewal/shop.conf", "live/shop/privkey.pem", "archive/shop"])
def test_a_lineage_that_is_not_whole_is_begun_anew(
    stage: Stage, authority: Authority, torn: str
) -> None:
    install(stage)
    path = lineages.home_of(ORDER) / torn
    if path.is_dir():
        files.remove_tree(path)
    else:
        path.unlink()
    authority.next = TWO
    assert install(stage)
    assert stage.served == TWO.der


def test_a_key_of_another_certificate_is_not_whole(stage: Stage, authority: Authority) -> None:
    install(stage)
    one = Lineage(lineages.home_of(ORDER), "shop")
    assert one.is_whole()
    one.key.resolve().write_text(TWO.key)
    assert not one.is_whole()


# -- when it is due


def test_a_third_of_the_lifetime() -> None:
    day = 86400.0
    for days in (90, 6, 0.1):
        known = Validity(frozenset({NAME}), 0.0, days * day)
        assert order.fits(known, ORDER, days * day * 0.66)
        assert not order.fits(known, ORDER, days * day * 0.67)
    assert not order.fits(known, Order((NAME, "b.example"), "", "", ""), 0.0)
    assert not order.fits(None, ORDER, 0.0)


def test_what_a_certificate_says(tmp_path: Path) -> None:
    path = tmp_path / "a.pem"
    path.write_text(BOTH.pem)
    found = lineages.validity(path)
    assert found is not None
    assert found.names == {NAME, "www.example.org"}
    assert found.begin == BOTH.one.not_valid_before_utc.timestamp()
    assert found.until == BOTH.one.not_valid_after_utc.timestamp()
    assert lineages.validity(tmp_path / "none") is None


def test_when_the_host_may_ask_again() -> None:
    now = 1_000_000.0
    assert order.may_try(None, now)
    assert order.may_try(Tried(now, ""), now)
    assert not order.may_try(Tried(now - 3000, "x"), now)
    assert order.may_try(Tried(now - 3590, "x"), now)
    assert order.may_try(Tried(now + 99, "x"), now), "the clock was set back"


def test_the_journal_has_the_words(stage: Stage, authority: Authority) -> None:
    authority.next = None
    with pytest.raises(OpError):
        install(stage)
    last = journal.read(stage.at.journal)[-1]
    assert "gave no certificate" in (last.reason or "")
