"""What a host makes of its web server's logs."""

from __future__ import annotations

import random
import stat
import time
from pathlib import Path

import pytest

from cartwheel.host.diagnose import visits, web_errors
from cartwheel.host.diagnose.found import Window
from cartwheel.host.diagnose.log_window import Bounds
from cartwheel.host.web.kinds import KINDS
from cartwheel.host.web.server import WebServer
from tests.unit.diagnosis.web_case import NOW, Ask, Log, look

LINES = Path(__file__).parent / "lines"
# The lines have the times of a real host.
THEN = Window(1796056000.0, 1796059000.0)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def lines_of(web: WebServer) -> list[str]:
    text = (LINES / f"{web.name}_errors.txt").read_text()
    found = [line.split("\t")[3] for line in text.splitlines()]
    at = {line: web.look_at(line)[0] or 0.0 for line in found}
    return sorted(found, key=lambda line: at[line])


@pytest.mark.parametrize("web", KINDS, ids=lambda web: web.name)
def test_errors_by_kind_and_what_they_are_about(tmp_path: Path, web: WebServer) -> None:
    lines = lines_of(web)
    (tmp_path / "site.log").write_text("".join(f"{line}\n" * 3 for line in lines))
    found = web_errors.read(web, [(tmp_path / "site.log", web_errors.concerning("/"))], THEN)
    assert found.unread == ()
    signs = {(one.kind, one.about): one for one in found.signs}
    for kind in ("no-socket", "permission"):
        [sign] = [one for one in found.signs if one.kind == f"web-{kind}"]
        assert sign.count == 3
        assert sign.about.endswith("/http.sock")
    assert {one.kind.partition("-")[2] for one in found.signs} <= set(web_errors.KINDS)
    assert all(one.first <= one.last for one in signs.values())
    assert all(1 <= len(one.lines) <= 4 for one in signs.values())


def test_of_the_shared_log_only_what_concerns_the_app(tmp_path: Path) -> None:
    web = KINDS[0]
    (tmp_path / "error.log").write_text("".join(f"{line}\n" for line in lines_of(web)))
    concerns = web_errors.concerning("/srv/hello/")
    found = web_errors.read(web, [(tmp_path / "error.log", concerns)], THEN)
    kinds = {one.kind for one in found.signs}
    assert {"web-no-socket", "web-permission", "web-files", "web-crash"} <= kinds
    assert kinds.isdisjoint({"web-queue", "web-refused", "web-header", "web-timeout"})
    other = web_errors.read(web, [(tmp_path / "error.log", web_errors.concerning("/x/"))], THEN)
    assert "web-no-socket" not in {one.kind for one in other.signs}


def test_a_closed_folder_on_the_way_to_the_socket_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = KINDS[0]
    monkeypatch.setattr(type(web), "user", lambda _self: "nobody")
    for folder in tmp_path, *tmp_path.parents:
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & 0o001:  # pytest's own
            folder.chmod(mode | 0o001)
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    (run / "http.sock").touch()
    (tmp_path / "http.sock").symlink_to(run / "http.sock")
    said = (
        f"2026/11/30 16:44:20 [crit] 505#505: *22 connect() to unix:{tmp_path}/http.sock failed"
        " (13: Permission denied) while connecting to upstream, client: 127.0.0.1, server: _,"
        f' request: "GET / HTTP/1.1", upstream: "http://unix:{tmp_path}/http.sock:/", host: "h"\n'
    )
    (tmp_path / "error.log").write_text(said)
    logs = [(tmp_path / "error.log", web_errors.concerning("/"))]
    [sign] = web_errors.read(web, logs, THEN).signs
    assert sign.lines[-1] == f"{run} (mode 0700, of root) cannot be entered by nobody"
    run.chmod(0o755)
    (run / "http.sock").chmod(0o644)
    [sign] = web_errors.read(web, logs, THEN).signs
    assert "http.sock (mode 0644, of root) may not be written by nobody" in sign.lines[-1]
    (run / "http.sock").chmod(0o666)
    [sign] = web_errors.read(web, logs, THEN).signs
    assert "nobody may open it now" in sign.lines[-1]


@pytest.mark.parametrize("web", KINDS, ids=lambda web: web.name)
@pytest.mark.parametrize("seed", range(3))
def test_any_bytes_are_read(tmp_path: Path, web: WebServer, seed: int) -> None:
    chance = random.Random(seed)
    whole = [*lines_of(web), *(line for _, line in _some_log().lines[:50])]
    broken = []
    for line in whole * 3:
        data = bytearray(line.encode())
        for _ in range(chance.randrange(4)):
            place = chance.randrange(len(data))
            data[place : place + chance.randrange(20)] = chance.randbytes(chance.randrange(6))
        broken.append(bytes(data))
    (tmp_path / "a.log").write_bytes(b"\n".join(broken))
    wide = Window(0.0, time.time() + 10 * 365 * 86400)
    visits.read(web, tmp_path / "a.log", wide)
    web_errors.read(web, [(tmp_path / "a.log", web_errors.concerning("/"))], wide)


def _some_log() -> Log:
    log = Log()
    log.add(7000.0, 3600.0, Ask("/", 30), Ask("/items/*", 60, fails=0.01), Ask("/a.css", 30, 0.0))
    log.add(3600.0, 3540.0, Ask("/", 30, fails=1.0))
    log.add(3540.0, 0.0, Ask("/", 30), Ask("/items/*", 60, fails=0.01), Ask("/a.css", 30, 0.0))
    return log


def test_a_part_of_a_large_log_tells_the_same_as_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = look(_some_log(), tmp_path / "a.log").visits
    size = (tmp_path / "a.log").stat().st_size
    small = Bounds(whole=size // 10, newest=size // 20, spread=size // 6, block=4000)
    monkeypatch.setattr(visits, "_BOUNDS", small)
    part = look(_some_log(), tmp_path / "a.log").visits
    assert whole is not None
    assert part is not None
    assert whole.part == 1.0
    assert 0.15 < part.part < 0.3
    assert part.counted
    assert (part.failed, part.by_server) == (whole.failed, whole.by_server)
    assert part.count == pytest.approx(whole.count, rel=0.05)
    assert [url.path for url in part.failing] == [url.path for url in whole.failing]
    assert part.usual == pytest.approx(whole.usual, rel=0.2)
    assert len(part.minutes) == pytest.approx(len(whole.minutes), abs=6)
    # No time has more failures than requests, though few of its requests were read.
    bad = {minute.at for minute in part.minutes if minute.failed > 0.5 * minute.count}
    assert bad <= {minute.at for minute in whole.minutes if minute.failed > 0.2 * minute.count}
    failed = [
        {minute.at: minute.failed for minute in one.minutes if minute.failed}
        for one in (part, whole)
    ]
    assert failed[0] == failed[1]
    monkeypatch.setattr(visits, "_MOST_FAILED", 10)
    estimated = look(_some_log(), tmp_path / "a.log").visits
    assert estimated is not None
    assert not estimated.counted
    assert estimated.failed == pytest.approx(whole.failed, rel=0.9)


def test_our_own_probes_do_not_count(tmp_path: Path) -> None:
    log = _some_log()
    whole = look(log, tmp_path / "a.log").visits
    assert whole is not None
    log.lines = [(at, line.replace("probe=\n", "probe=1\n")) for at, line in log.lines]
    log.lines.append((NOW - 5, _some_log().lines[-1][1]))
    probes = look(log, tmp_path / "a.log").visits
    assert probes is not None
    assert probes.count == 1 < whole.count


def test_a_busy_host_counts_less_of_a_large_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = look(_some_log(), tmp_path / "a.log").visits
    size = (tmp_path / "a.log").stat().st_size
    small = Bounds(whole=size // 10, newest=size // 20, spread=size // 2, block=2000)
    monkeypatch.setattr(visits, "_BOUNDS", small)
    monkeypatch.setattr(visits, "_stride", lambda *_known: 4)
    part = look(_some_log(), tmp_path / "a.log").visits
    assert whole is not None
    assert part is not None
    assert 0.1 < part.part < 0.25
    assert part.count == pytest.approx(whole.count, rel=0.1)
    assert part.failed == whole.failed
