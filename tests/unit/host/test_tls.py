"""TLS on a host: a change is whole or not there, wherever it is cut off.

systemd and the web server are stand-ins: what the web server serves is what it read last.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host import certificate as program
from cartwheel.host import recover
from cartwheel.host.balancer import nginx_site
from cartwheel.host.layout import Layout
from cartwheel.host.look import tls as tls_look
from cartwheel.host.release import access, leftovers
from cartwheel.host.state import journal, record
from cartwheel.host.state.record import Record
from cartwheel.host.system import children, files, systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web import configuration, front_door, nginx, tls, tls_change, tls_watch
from cartwheel.host.web.server import WebServer
from cartwheel.host.wire.balancer import PlaceSite
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.tls import End, InstallTls, RemoveTls, TlsFiles
from tests.kit.certificates import Issued, certificate
from tests.unit.host.test_switch import dying_before
from tests.unit.hostside import Session, host_in

NAME = "shop.example.org"
ONE, TWO = certificate(NAME), certificate(NAME)
SITE = "listen 443 ssl;\nssl_certificate {};\nssl_certificate_key /k;\n"


class Stage:
    """A host; `served` is the certificate that its web server has read. It is in a file, because it
    outlives a killed process."""

    def __init__(self, at: Layout) -> None:
        self.at = at
        self.session = Session(at)
        self.file = at.base / "served"
        self.served = b""
        self.reloads = 0
        self.refuses = ""
        self.deaf = False
        self.enabled: set[str] = set()

    @property
    def served(self) -> bytes:
        return self.file.read_bytes()

    @served.setter
    def served(self, der: bytes) -> None:
        self.file.write_bytes(der)

    def reload(self, _ctx: Context | None, _web: WebServer, *, start: bool = True) -> None:
        self.reloads += 1
        how = tls.served_as(self.at)
        pem = tls.certificate_in(how.certificate) if how else ""
        if not self.deaf:
            self.served = ssl.PEM_cert_to_DER_cert(pem) if pem else b""

    def check(self, *_args: Any) -> None:
        if self.refuses:
            raise OpError("nginx-refuses", self.refuses)

    def shown(self, _port: int, _name: str) -> bytes:
        if not self.served:
            raise ConnectionRefusedError(111, "Connection refused")
        return self.served

    def run(self, _ctx: object, argv: list[str], *_args: Any, **_more: Any) -> children.Done:
        if argv[:2] == ["systemctl", "enable"]:
            self.enabled |= {word for word in argv if word.startswith("cartwheel-")}
        elif argv[:2] == ["systemctl", "disable"]:
            self.enabled -= set(argv)
        return children.Done(0, "", "")

    def request(
        self, issued: Issued, name: str, site: str | None = None, end: End = "app"
    ) -> InstallTls:
        text = site or SITE.format(self.at.tls_live / "fullchain.pem")
        return InstallTls(TlsFiles(name, issued.pem, Hidden(issued.key)), text, (NAME,), end)

    def install(self, issued: Issued, name: str, end: End = "app") -> None:
        tls_change.install(self.session.ctx(), self.request(issued, name, end=end))

    @property
    def ends(self) -> list[End]:
        """The sites that serve TLS."""
        return [end for end in tls.ENDS if tls.text_of(self.at, end)]

    @property
    def there(self) -> dict[str, str]:
        """Every file and link."""
        return {
            str(path.relative_to(self.at.root)): str(path.readlink())
            if path.is_symlink()
            else path.read_text()
            for path in sorted(self.at.tls.rglob("*"))
            if path.is_symlink() or path.is_file()
        }

    @property
    def journal(self) -> list[tuple[str | None, str | None]]:
        return [(one.kind, one.result) for one in journal.read(self.at.journal)]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    at = host_in(tmp_path, monkeypatch)
    at.root.mkdir(parents=True, exist_ok=True)
    one = Stage(at)
    monkeypatch.setattr(configuration, "reload", one.reload)
    monkeypatch.setattr(configuration, "check_laid", one.check)
    monkeypatch.setattr(configuration, "check", lambda *_args: one.refuses)
    monkeypatch.setattr(configuration, "complaints", lambda _web: "bind() failed")
    monkeypatch.setattr(children, "run", one.run)
    monkeypatch.setattr(children, "check", one.run)
    monkeypatch.setattr(systemd, "reload", lambda *_args: None)
    monkeypatch.setattr(systemd, "forget_failure", lambda _unit: None)
    monkeypatch.setattr(tls, "shown", one.shown)
    monkeypatch.setattr(tls_change, "_PROOF_SECONDS", 0.0)
    monkeypatch.setattr(files, "directory", _made)
    yield one


def _made(path: Path, mode: int, uid: int = 0, gid: int = 0) -> bool:
    is_new = not path.exists()
    path.mkdir(mode, exist_ok=True)
    return is_new


def test_a_first_certificate_is_served_and_private(stage: Stage) -> None:
    stage.install(ONE, "a" * 12)
    at = stage.at
    assert stage.served == ONE.der
    assert (at.tls.stat().st_mode & 0o777, (at.tls / ("a" * 12)).stat().st_mode & 0o777) == (
        0o700,
        0o700,
    )
    for path in at.tls.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o600, path
    assert stage.journal == [("tls", "done")]
    assert stage.enabled == {"cartwheel-shop_tls.timer"}
    assert sorted(stage.there) == [
        "tls/aaaaaaaaaaaa/fullchain.pem",
        "tls/aaaaaaaaaaaa/key.pem",
        "tls/live",
        "tls/site.conf",
    ]
    found = tls_look.there(at)
    assert found is not None
    assert (found.live, found.certificate) == ("a" * 12, ONE.pem)


def test_a_renewed_one_takes_its_place_with_one_reload(stage: Stage) -> None:
    stage.install(ONE, "a" * 12)
    stage.reloads = 0
    stage.install(TWO, "b" * 12)
    assert (stage.served, stage.reloads) == (TWO.der, 1)
    assert tls.sets(stage.at) == ["b" * 12], "nothing names the old one any more"


def _refuse(stage: Stage) -> None:
    stage.refuses = "cannot load certificate"


def _turn_deaf(stage: Stage) -> None:
    stage.deaf = True


@pytest.mark.parametrize(
    ("fault", "slug", "reloads"),
    [(_refuse, "nginx-refuses", 0), (_turn_deaf, "tls-not-served", 2)],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_failure_leaves_everything_as_it_was(
    stage: Stage, fault: Callable[[Stage], None], slug: str, reloads: int, is_first: bool
) -> None:
    if not is_first:
        stage.install(ONE, "a" * 12)
    before, served, units = stage.there, stage.served, stage.enabled
    fault(stage)
    stage.reloads = 0
    with pytest.raises(OpError) as caught:
        stage.install(TWO, "b" * 12)
    assert caught.value.slug == slug
    assert (stage.there, stage.served, stage.enabled) == (before, served, units)
    assert stage.at.tls.exists() is not is_first
    assert stage.reloads == reloads, "the last one reads what was there"
    assert stage.journal[-1] == ("tls", "failed")
    assert not tls_change.is_owed(stage.at)


def _remove(stage: Stage) -> None:
    tls_change.remove(stage.session.ctx(), RemoveTls())


def _renew(stage: Stage) -> None:
    stage.install(TWO, "b" * 12)


def _move(stage: Stage) -> None:
    """To the balancer on this host."""
    stage.install(TWO, "b" * 12, "balancer")


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("change", [_renew, _remove, _move])
def test_a_change_that_is_cut_off_anywhere_is_put_in_order(
    stage: Stage, change: Callable[[Stage], None], is_first: bool
) -> None:
    """Killed before each system call in turn: the next session leaves what was there, or what was
    to be there, and the web server serves just that."""
    number, ends = -1, set()
    while True:
        number += 1
        assert number < 300
        files.remove_tree(stage.at.tls)
        stage.served = b""
        if not is_first:
            stage.install(ONE, "a" * 12)
        if not dying_before(number, lambda: change(stage)):
            break
        said: list[str] = []
        tls_change.settle(stage.at, said.append)
        for name in tls_change.unneeded(stage.at):
            files.remove_tree(stage.at.tls / name)
        assert not tls_change.is_owed(stage.at)
        how = tls.served_as(stage.at)
        on_disk = tls.certificate_in(how.certificate) if how else ""
        assert stage.served == (ssl.PEM_cert_to_DER_cert(on_disk) if on_disk else b""), number
        assert how is None or on_disk, number
        assert len(stage.ends) <= 1, number
        ends.add(on_disk)
    wanted = "" if change is _remove else TWO.pem
    assert ends <= {"" if is_first else ONE.pem, wanted}


@pytest.fixture
def balancer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """What `balancer.setup` does on a host: links, the site, and its certificate."""
    at, folder = stage.at, stage.at.base / "nginx"
    folder.mkdir()
    made = Record(user="shop", group="shop-http", app="shop", base=str(at.base))
    monkeypatch.setattr(nginx, "SITES", folder)
    monkeypatch.setattr(Layout, "balancer_tmpfiles", folder / "tmpfiles.conf")
    monkeypatch.setattr(record, "needed", lambda _at: made)
    monkeypatch.setattr(access, "close_logs", lambda *_args: None)
    monkeypatch.setattr(configuration, "check_staged", stage.check)
    way = {"kind": "nginx", "path": "/run/web1.sock", "open_path": "/run/web1.open", "site": "x"}
    way |= {"link": str(at.balancer / "web1.sock"), "open_link": str(at.balancer / "web1.open")}
    at.balancer.mkdir()
    site: dict[str, str | None] = {str(nginx.Nginx().site("shop_balancer")): "# the site\n"}

    def set_up() -> None:
        ctx = stage.session.ctx()
        nginx_site.install(ctx, PlaceSite({"web1": way}, site, (NAME,)))
        stage.install(ONE, "a" * 12, "balancer")

    yield set_up


def test_a_balancers_setup_that_is_cut_off_anywhere_ends_well_the_next_time(
    stage: Stage, balancer: Callable[[], None]
) -> None:
    """What is served fits what is on the disk at any time."""
    at, number = stage.at, -1
    site = nginx.Nginx().site("shop_balancer")
    while True:
        number += 1
        assert number < 300
        for path in (at.tls, at.balancer):
            files.remove_tree(path)
        at.balancer.mkdir()
        for path in (site, at.balancer_tmpfiles, *at.tls_unit("timer").parent.glob("*")):
            files.remove(path) if path.is_file() else files.remove_tree(path)
        stage.served = b""
        is_cut_off = dying_before(number, balancer)
        tls_change.settle(at, lambda _text: None)
        assert stage.served in (b"", ONE.der)
        assert bool(stage.served) is bool(stage.ends), number
        balancer()
        assert (stage.served, stage.ends) == (ONE.der, ["balancer"])
        assert site.read_text() == "# the site\n"
        assert sorted(path.name for path in at.balancer.glob("web*")) == ["web1.open", "web1.sock"]
        if not is_cut_off:
            break
    assert number > 40


def test_it_moves_between_the_sites_of_one_host_with_one_reload(stage: Stage) -> None:
    """The application's and the balancer's: two at once would have the same port and names."""
    stage.install(ONE, "a" * 12)
    for end in ("balancer", "app"):
        stage.reloads = 0
        stage.install(ONE, "a" * 12, end)
        assert (stage.served, stage.reloads, stage.ends) == (ONE.der, 1, [end])
        found, known = tls_look.there(stage.at), tls.state(stage.at)
        assert found is not None and known is not None
        assert (found.end, known.end) == (end, end)
    _move(stage)
    _remove(stage)
    assert (stage.served, stage.enabled, stage.at.tls.exists()) == (b"", set(), False)


def test_a_failed_move_leaves_it_where_it_was(stage: Stage) -> None:
    stage.install(ONE, "a" * 12)
    before = stage.there
    stage.deaf = True
    with pytest.raises(OpError):
        _move(stage)
    assert (stage.there, stage.ends) == (before, ["app"])


def test_a_mark_of_an_earlier_version(stage: Stage) -> None:
    stage.install(ONE, "a" * 12)
    mark = {"live": "a" * 12, "site": tls.site_text(stage.at)}
    stage.install(ONE, "a" * 12, "balancer")
    stage.at.tls_pending.write_text(json.dumps(mark))
    tls_change.settle(stage.at, lambda _text: None)
    assert stage.ends == ["app"]


def test_the_applications_site_is_asked_over_plain_http_where_the_balancer_ends_tls(
    stage: Stage,
) -> None:
    probe = Probe("/", NAME, "https", 200, 1, 0.1, 5, 2)
    stage.install(ONE, "a" * 12, "balancer")
    assert front_door.connected(stage.at, probe, 80).port == 80
    stage.install(ONE, "a" * 12)
    assert front_door.connected(stage.at, probe, 80).port == 443


def test_units_that_somebody_took_away(stage: Stage) -> None:
    stage.install(ONE, "a" * 12)
    timer = stage.at.tls_unit("timer")
    link = timer.parent / "timers.target.wants" / timer.name
    link.parent.mkdir(parents=True)
    link.symlink_to(timer)
    assert tls_watch.is_whole(stage.at)
    for broken in (link.unlink, stage.at.tls_unit("service").unlink):
        broken()
        assert not tls_watch.is_whole(stage.at)


def test_without_tls_nothing_of_it_stays(stage: Stage) -> None:
    stage.install(ONE, "a" * 12)
    _remove(stage)
    assert (stage.served, stage.enabled) == (b"", set())
    assert not stage.at.tls.exists()
    assert tls_look.there(stage.at) is None
    assert stage.journal[-1] == ("tls", "done")


def test_a_set_that_nothing_names_is_a_leftover(stage: Stage) -> None:
    stage.install(ONE, "a" * 12)
    (stage.at.tls / ("c" * 12)).mkdir()
    found = list(leftovers._certificates(stage.at, None))  # type: ignore[arg-type]  # not used
    assert [one.text for one in found] == [f"unneeded certificate: {stage.at.tls}/{'c' * 12}"]


def test_a_change_that_was_cut_off_is_work_for_recover(stage: Stage) -> None:
    stage.install(ONE, "a" * 12)
    files.write_json(stage.at.tls_pending, {"live": "a" * 12, "site": None}, 0o600)
    assert not recover.is_settled(stage.at)


def _host_files(stage: Stage, issued: Issued) -> Path:
    path = stage.at.base / "host.pem"
    path.write_text(issued.pem)
    return path


def test_files_of_the_host_are_watched(stage: Stage) -> None:
    path = _host_files(stage, ONE)
    tls_change.install(stage.session.ctx(), InstallTls(None, SITE.format(path), (NAME,)))
    assert stage.served == ONE.der
    assert stage.enabled == {"cartwheel-shop_tls.timer", "cartwheel-shop_tls.path"}
    assert f"PathChanged={path}\n" in stage.at.tls_unit("path").read_text()
    stage.reloads = 0
    assert not program.read_again(stage.at)
    assert stage.reloads == 0, "nothing has changed"
    _host_files(stage, TWO)
    assert program.read_again(stage.at)
    assert (stage.served, stage.reloads) == (TWO.der, 1)


def test_a_broken_configuration_is_not_loaded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "_PAUSE_SECONDS", 0.0)
    path = _host_files(stage, ONE)
    tls_change.install(stage.session.ctx(), InstallTls(None, SITE.format(path), (NAME,)))
    _host_files(stage, TWO)
    stage.refuses, stage.reloads = "nginx: [emerg] key values mismatch", 0
    assert program.main(["shop", str(stage.at.base)]) == 1
    assert "key values mismatch" in capsys.readouterr().out
    assert (stage.served, stage.reloads) == (ONE.der, 0)
    stage.refuses = ""
    assert program.main(["shop", str(stage.at.base)]) == 0
    assert stage.served == TWO.der


def test_a_file_that_changes_while_the_program_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd does not notice that: it starts the program again only after it has ended."""
    path = _host_files(stage, ONE)
    tls_change.install(stage.session.ctx(), InstallTls(None, SITE.format(path), (NAME,)))
    stage.reloads = 0
    monkeypatch.setattr("time.sleep", lambda _seconds: _host_files(stage, TWO))
    assert program.main(["shop", str(stage.at.base)]) == 0
    assert (stage.served, stage.reloads) == (TWO.der, 1)


def test_the_path_unit_goes_with_the_hosts_files(stage: Stage) -> None:
    path = _host_files(stage, ONE)
    tls_change.install(stage.session.ctx(), InstallTls(None, SITE.format(path), (NAME,)))
    stage.install(TWO, "b" * 12)
    assert stage.enabled == {"cartwheel-shop_tls.timer"}
    assert not stage.at.tls_unit("path").exists()
    assert tls_watch.remove(stage.at) == ["cartwheel-shop_tls.timer", "cartwheel-shop_tls.service"]


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        ((), ""),
        (("_",), ""),
        (("*.example.org",), "www.example.org"),
        (("a.example", "b.example"), "a.example"),
    ],
)
def test_the_name_that_a_handshake_asks_for(names: tuple[str, ...], asked: str) -> None:
    assert tls.a_name_of(list(names)) == asked
