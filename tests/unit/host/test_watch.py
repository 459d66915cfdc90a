"""What a monitor's key allows: the words, the cursor, and the parts of the answer."""

from __future__ import annotations

import ast
import calendar
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.host.state.watchers import USER
from cartwheel.host.upkeep import monitors, sshd
from cartwheel.host.watch import apps, cursor, front, host, look, requests, sites, timers, units
from cartwheel.host.web import kinds
from cartwheel.host.wire import look as wire
from cartwheel.host.wire.codec import from_message
from cartwheel.host.wire.instance import Instance
from cartwheel.ssh.bundle import host_modules
from tests.kit.certificates import certificate

R = TypeVar("R")
CURSOR = "1/1796059014.5/hello:1:2547819:5489/shop.staging:40:9:0"


def record(kind: type[R], value: object) -> R:
    """As a monitor reads it, strictly."""
    return from_message(kind, json.loads(json.dumps(value)))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the words are tried: nothing is looked at."""
    monkeypatch.setattr(look, "find", lambda since: iter([("unread since", str(since))]))
    monkeypatch.setattr(signal, "alarm", lambda _seconds: 0)


def answer_to(word: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", word)
    return look.main("1.2.3")


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    "word",
    [
        *("", " ", "State", "state ", " state", "state\n", "hello\0", "states", "stat", "HELLO"),
        *("state;id", "state; id", "state $(id)", "state `id`", "state\nid", "state | sh"),
        *("since", "since ", "since x", f"since  {CURSOR}", f"since {CURSOR} ", f"since {CURSOR};"),
        f"since {CURSOR}\n",
        "since 1/1/../../etc/passwd:1:2:3",
        "since 2/1796059014",
        "since 1/1796059014/hello:1:2",
        "since 1/1796059014/hello:-1:2:3",
        "since 1/1796059014.55/hello:1:2:3",
        "since 1/1796059014./hello:1:2:3",
        "since 1/1796059014/hello:\u0661:2:3",
        "since 1/" + "9" * 13,
        "since 1/1" + "/a:1:1:1" * 600,
        "hello" * 100_000,
        *("sh", "bash -i", "/bin/sh", "scp -f /etc/passwd", "internal-sftp", "rsync --server ."),
    ],
)
def test_other_words_are_refused(
    word: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if "\0" in word or "\u0661" in word:
        word = word.replace("\0", "\x01")  # no variable can hold it
    assert answer_to(word, monkeypatch) == 2
    out, err = capfd.readouterr()
    assert (out, err) == ("", "cartwheel: a monitor may ask: hello, state, since CURSOR\n")


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("word", ["hello", "state", f"since {CURSOR}"])
def test_words_of_the_table_are_answered(
    word: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert answer_to(word, monkeypatch) == 0
    out, err = capfd.readouterr()
    found = from_message(wire.HostLook, json.loads(out))
    assert (found.protocol, found.version, err) == (wire.PROTOCOL, "1.2.3", "")
    wanted = {"hello": "", "state": "None"}.get(word, CURSOR)
    assert found.unread.get("since", "") == wanted


def test_a_cursor_says_how_far_each_app_was_read() -> None:
    assert cursor.is_one(CURSOR)
    before, places = cursor.read(CURSOR)
    assert before == 1796059014.5
    assert places == {"hello": (1, 2547819, 5489), "shop.staging": (40, 9, 0)}
    assert cursor.write(before, places) == CURSOR
    assert cursor.read("1/1796059014/hello:1:2:3")[0] == 1796059014.0, "of an earlier version"
    assert cursor.is_one(cursor.write(0, {}))
    assert not cursor.is_one(CURSOR + "/a:1:1:1" * 600)


def test_a_cursor_has_room_for_many_apps_and_never_grows_too_long() -> None:
    places = {f"app{number}": (2000, 1 << 63, 1 << 40) for number in range(200)}
    word = cursor.write(time.time(), places)
    assert cursor.is_one(word)
    assert len(cursor.read(word)[1]) > 60


def test_an_answer_is_there_in_time_whatever_hangs() -> None:
    def find() -> Iterator[tuple[str, object]]:
        yield "host", {"cpus": 2}
        yield "names", ["shop"]
        time.sleep(60)
        yield "app shop", {}

    began = time.monotonic()
    found = dict(look.found_in_time(find, 0.5))
    assert time.monotonic() - began < 20
    assert found == {"host": {"cpus": 2}, "names": ["shop"], "late": None}
    answer = record(wire.HostLook, {"protocol": 1, **look._put_together(found)})
    assert answer.cpus == 2
    assert answer.apps == (wire.AppLook("shop", problem="it could not be read within 7 s"),)
    assert "late" in answer.unread


def test_a_child_that_dies_is_no_whole_answer() -> None:
    def find() -> Iterator[tuple[str, object]]:
        yield "host", {"cpus": 2}
        os._exit(3)

    assert dict(look.found_in_time(find, 5.0)) == {"host": {"cpus": 2}, "late": None}


def test_a_child_that_fails_says_why() -> None:
    def find() -> Iterator[tuple[str, object]]:
        yield "host", {"cpus": 2}
        yield "names", ["shop"]
        raise ValueError("secret")

    found = dict(look.found_in_time(find, 5.0))
    assert found["failed"] == "unexpected ValueError"
    answer = record(wire.HostLook, look._put_together(found))
    assert answer.unread == {"failed": "not all could be read: unexpected ValueError"}
    assert answer.apps[0].problem == "it could not be read: unexpected ValueError"


def app_on_disk(root: Path, counts: dict[str, object]) -> None:
    """As a deploy leaves it, as far as a look needs it."""
    release = root / "releases" / "1.0.aa"
    release.mkdir(parents=True)
    (release / "release.json").write_text('{"version": "1.0"}')
    (release / "http.sock").symlink_to("instances/web/http.sock")
    (root / "current").symlink_to("releases/1.0.aa")
    (root / "assigned.json").write_text(json.dumps({"counts": counts}))


def test_an_app_with_damaged_files_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apps, "RECORDS", str(tmp_path))
    monkeypatch.setattr(apps, "root_of", lambda app: str(tmp_path / app))
    broken: dict[str, dict[str, object]] = {"a": {"web": 1}, "b": {"x": "many"}, "c": {"x": [1]}}
    for name, counts in broken.items():
        app_on_disk(tmp_path / name, counts)
        (tmp_path / f"{name}.json").write_text("{}")
    (tmp_path / "a" / "timers").mkdir()
    found = dict(look.found_in_time(lambda: look.find(None), 20.0))
    answer = record(wire.HostLook, look._put_together(found))
    assert {one.app: one.problem for one in answer.apps} == {
        "a": "",
        "b": "it could not be read: unexpected ValueError",
        "c": "it could not be read: unexpected TypeError",
    }
    assert answer.unread["b: state"] == "unexpected ValueError"
    assert answer.apps[0].release == "1.0.aa"
    assert "late" not in answer.unread
    assert answer.disks


def test_an_answer_that_is_too_long_is_cut_and_says_so() -> None:
    entries = [{"seq": number, "message": "x" * 500} for number in range(50)]
    every = [{"app": f"a{number}", "entries": entries} for number in range(30)]
    answer: timers.Table = {"apps": every, "unread": {}}
    text = look.fitting(answer)
    assert len(text) <= look.MOST_BYTES + 1
    found = from_message(wire.HostLook, json.loads(text))
    assert [one.app for one in found.apps] == [f"a{number}" for number in range(30)]
    assert [one.seq for one in found.apps[0].entries] == [45, 46, 47, 48, 49]
    assert "size" in found.unread


def test_the_host_and_its_disks_fit_the_record() -> None:
    known = record(wire.HostLook, {**host.look(), "disks": list(host.disks(["/", "/proc"]))})
    assert known.memory > known.memory_available > 0
    assert known.disks[0].path == "/"
    assert known.disks[0].size > known.disks[0].free


# -- what it knows by heart


def test_the_protocol_and_the_bounds_are_those_of_the_records() -> None:
    assert look.PROTOCOL == wire.PROTOCOL
    assert requests.BOUNDS == wire.BOUNDS


def test_the_places_are_those_of_the_layout() -> None:
    at = Layout("shop.staging")
    assert Path(apps.RECORDS, "shop.staging.json") == at.record
    assert Path(apps.RUN, ".lock.shop.staging") == at.lock
    assert Path(apps.UNITS) == layout.UNITS
    assert apps.OLD_SLOTS == layout.OLD_SLOTS
    assert timers.unit("shop.staging", "tick") == at.timer_unit("tick").name
    assert str(at.dispatcher_unit("tick").name).startswith("cartwheel-shop.staging_timer.tick.")
    assert at.job_unit("tick", "1.0").name.startswith("cartwheel-shop.staging_job.tick.")


@pytest.mark.parametrize(
    "one",
    [
        Instance("web", "1.0.0.abcdef01", "2"),
        Instance("web", "1.0.0.abcdef01", "web-b"),
        Instance("worker", "1.0.0.abcdef01", "2", 3),
    ],
)
def test_the_units_are_those_of_the_layout(one: Instance) -> None:
    app = apps.App.__new__(apps.App)
    app.app, app.release = "shop", one.release
    assert app._unit(one.process, one.label) == Layout("shop").unit(one)


def test_the_kinds_of_web_servers_are_all_there() -> None:
    wanted = {(kind.site("shop"), kind.logs("shop")[0]) for kind in kinds.KINDS}
    assert {(Path(one.site("shop")), Path(one.log("shop"))) for one in sites.KINDS} == wanted


def test_all_that_the_program_imports_is_installed_with_it() -> None:
    """And nothing that takes long to import comes at once."""
    sources = host_modules()
    own = {name for name in sources if monitors._MODULES.fullmatch(name)}
    assert own
    slow = {"dataclasses", "typing", "subprocess", "inspect", "ssl", "datetime", "zoneinfo"}
    for name in own:
        for node in ast.walk(ast.parse(sources[name])):
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            inside = {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
            ours = {one for one in inside if one in sources}
            assert ours <= own, f"{name} imports {ours - own}"
        at_once = ast.parse(sources[name]).body
        named = {one.names[0].name for one in at_once if isinstance(one, ast.Import)}
        named |= {one.module or "" for one in at_once if isinstance(one, ast.ImportFrom)}
        assert ".schedule" in name or not named & slow, name


# -- requests: lines that real servers wrote

NGINX = (
    '127.0.0.1 [2026-11-30T16:44:20+00:00] localhost "GET /two HTTP/1.1" 502 694 "-"'
    ' "curl/7.88.1" id=29456fd9089630ecdea5266a97d96181 time=0.000'
    ' upstream="unix:/srv/hello/current/http.sock, unix:/srv/hello/fallback/http.sock"'
    ' upstream_status="502, 502" upstream_time="0.100, 0.200" at=1796057060.870 probe=',
    '127.0.0.1 [2026-11-30T16:44:20+00:00] localhost "POST /upload HTTP/1.1" 413 176 "-"'
    ' "curl/7.88.1" id=6357d4a2689597e034a6547cd0adfed2 time=0.000 upstream="-"'
    ' upstream_status="-" upstream_time="-" at=1796057060.943 probe=',
    '127.0.0.1 [2026-11-30T17:01:52+00:00] localhost "GET /q\\x22uo?te HTTP/1.1" 404 207'
    ' "\\x5C\\x22" "a \\x22b\\x5C\\x22 c" id=21d67aff62f749ff8f22d454290d0643 time=0.003'
    ' upstream="unix:/srv/hello/current/http.sock" upstream_status="404" upstream_time="0.002"'
    " at=1796058112.610 probe=",
    # a probe of Cartwheel's, and a look
    '127.0.0.1 [2026-11-30T16:42:36+00:00] localhost "GET /healthz HTTP/1.1" 200 44 "-"'
    ' "cartwheel-probe" id=9d825fb19f5ec8f254db20ae30074f68 time=0.001'
    ' upstream="unix:/srv/hello/current/http.sock" upstream_status="200" upstream_time="0.001"'
    " at=1796056956.608 probe=1",
    '127.0.0.1 [2026-11-30T17:27:52+00:00] localhost "GET /healthz HTTP/1.1" 200 44 "-"'
    ' "cartwheel-look" id=6971be48a89275566ded11b9d5068c91 time=0.002'
    ' upstream="unix:/srv/hello/current/http.sock" upstream_status="200" upstream_time="0.002"'
    " at=1796059672.597 probe=",
)
APACHE = (
    '127.0.0.1 [2026-11-30T16:45:57+0000] localhost "GET /slow?seconds=1.2 HTTP/1.1" 502 40'
    ' "-" "curl/7.88.1" id=b7e076e38a61cf3e442d69032ccf0a2b time=301'
    ' upstream="http://hola.current" began=1796057157958 probe=-',
    '127.0.0.1 [2026-11-30T16:46:01+0000] localhost "POST /upload HTTP/1.1" 413 356 "-"'
    ' "curl/7.88.1" id=0b0a1ddc39378c06c775f9d88808f3eb time=0 upstream="-"'
    " began=1796057161614 probe=-",
    '127.0.0.1 [2026-11-30T17:01:52+0000] localhost "GET /q\\"uo?te HTTP/1.1" 404 207 "\\\\\\""'
    ' "a \\"b\\\\\\" c" id=c12a313759d6b040345de54c4ddb3f14 time=2'
    ' upstream="http://hola.current" began=1796058112030 probe=-',
    '127.0.0.1 [2026-11-30T16:45:03+0000] localhost "GET /healthz HTTP/1.1" 200 45 "-"'
    ' "cartwheel-probe" id=36bdf0c071920768b4694c68992bc859 time=1'
    ' upstream="http://hola.current" began=1796057103528 probe=1',
)
LINES = {"/var/log/nginx": NGINX, "/var/log/apache2": APACHE}


@pytest.fixture(params=sites.KINDS, ids=lambda kind: Path(kind.logs).name)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[sites.Kind, Path, list[str]]:
    """A kind whose logs are in a folder of the test, and lines of it."""
    kind = sites.Kind(str(tmp_path), str(tmp_path), b"")
    kind.line = request.param.line
    return kind, tmp_path / "shop.access.log", list(LINES[request.param.logs])


def text(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


def counted(log: requests.Log, inode: int, offset: int) -> wire.Requests:
    found = log.since(inode, offset)
    return record(wire.Requests, {"seconds": 1.0, **(found or {})})


def test_requests_since_the_last_look(site: tuple[sites.Kind, Path, list[str]]) -> None:
    kind, path, lines = site
    path.write_text(text(lines))
    log = requests.Log(kind, "shop")
    log.skip()
    place = (log.inode, log.offset)
    with path.open("a") as file:
        file.write(text(lines) + lines[0])  # the last line is not whole yet
    found = counted(log, *place)
    assert (found.count, found.failed, sum(found.times)) == (3, 1, 3)
    assert (found.times[0], found.times[4]) == (2, 1), "0 ms and 2 ms, and 300 ms"
    assert found.took == pytest.approx(0.302, abs=0.002)
    place = (log.inode, log.offset)
    assert counted(log, *place).count == 0
    with path.open("a") as file:
        file.write("\n")
    assert counted(log, *place).failed == 1


def test_a_log_is_rotated_between_two_looks(site: tuple[sites.Kind, Path, list[str]]) -> None:
    kind, path, lines = site
    path.write_text(text(lines))
    log = requests.Log(kind, "shop")
    log.skip()
    place = (log.inode, log.offset)
    with path.open("a") as file:
        file.write(text(lines))
    path.rename(path.with_name(path.name + ".1"))
    path.write_text(text(lines[:1]))
    assert counted(log, *place).failed == 2
    path.write_text("")  # emptied in place
    assert counted(log, log.inode, log.offset).count == 0
    path.unlink()
    assert log.since(log.inode, log.offset) is None
    assert log.unread


def test_a_log_of_another_format_says_nothing(site: tuple[sites.Kind, Path, list[str]]) -> None:
    kind, path, _lines = site
    path.write_text('127.0.0.1 - - [30/Nov/2026] "GET / HTTP/1.1" 500 44 "-" "-"\n')
    log = requests.Log(kind, "shop")
    assert log.since(path.stat().st_ino, 0) is None
    assert "format" in log.unread


def test_of_a_long_log_the_newest_part_counts(
    site: tuple[sites.Kind, Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, path, lines = site
    monkeypatch.setattr(requests, "MOST_BYTES", 3 * len(lines[0]))
    path.write_text(text(lines[:1] * 9))
    log = requests.Log(kind, "shop")
    assert counted(log, path.stat().st_ino, 0).count == 2
    assert log.unread
    assert log.offset == path.stat().st_size


# -- certificates


def test_when_a_certificate_begins_and_ends() -> None:
    one = certificate("shop.example")
    begin, end = one.one.not_valid_before_utc, one.one.not_valid_after_utc
    assert front.validity(one.der) == (begin.timestamp(), end.timestamp())


@pytest.mark.parametrize("text", [b"", b"0", b"\x30\x82", b"x" * 40, b"\x30\x03\x30\x84\xff"])
def test_what_is_no_certificate_ends_never(text: bytes) -> None:
    assert front.validity(text) is None


def test_an_answer_has_both_dates_of_the_certificate() -> None:
    parts: timers.Table = {"names": ["shop"], "app shop": {"app": "shop"}}
    parts["front shop"] = ["", [5.0, 9.0]]
    (found,) = record(wire.HostLook, look._put_together(parts)).apps
    assert (found.front, found.valid_from, found.until) == ("", 5.0, 9.0)
    parts["front shop"] = [None, None]
    (found,) = record(wire.HostLook, look._put_together(parts)).apps
    assert (found.front, found.valid_from, found.until) == (None, None, None)


# -- timers

NOW = calendar.timegm((2026, 11, 30, 17, 30, 30))
EVERY_MINUTE: timers.Table = {"schedule": "* * * * *", "zone": "UTC"}
NOON: timers.Table = {"schedule": "0 12 * * *", "zone": "UTC"}
DUE = calendar.timegm((2026, 11, 30, 12, 0, 0))


class Kept:
    """What a host keeps of a timer `tick`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "timers/tick"
        self.folder.mkdir(parents=True)

    def run(self, number: int, started: float, **fields: object) -> None:
        run = {"number": number, "started": started, "result": "done", "ended": started + 1}
        (self.folder / f"{number}.json").write_text(json.dumps({**run, **fields}))

    def since(self, since: float) -> None:
        (self.folder / "since.abc.json").write_text(json.dumps({"since": since}))

    def look(
        self, declared: timers.Table, states: dict[str, str], shown: dict[str, units.Properties]
    ) -> wire.TimerLook:
        at = timers.Moment(NOW, NOW - 86400, states, shown)
        found = timers.look(str(self.root), "shop", "tick", declared, at)
        return record(wire.TimerLook, found)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    kept = Kept(tmp_path)
    kept.since(NOW - 86400)
    return kept


def test_a_timer_has_no_run_yet(kept: Kept) -> None:
    kept.since(NOW)
    assert kept.look(NOON, {}, {}) == wire.TimerLook("tick")


def test_the_last_run_of_a_timer(kept: Kept) -> None:
    kept.run(9, DUE - 86400)
    kept.run(10, DUE + 1, due=DUE, result="failed", detail="exit status 3")
    found = kept.look(NOON, {}, {})
    assert found == wire.TimerLook("tick", "failed", "exit status 3", 10, DUE + 1.0)


@pytest.mark.parametrize(
    ("states", "wanted"),
    [
        ({}, "cut"),
        ({"cartwheel-shop_job.tick.1.0.abcdef01.service": "activating"}, "running"),
        ({"cartwheel-shop_timer.tick.service": "activating"}, "running"),
        ({"cartwheel-shop_job.tick.1.0.abcdef01.service": "failed"}, "cut"),
        ({"cartwheel-shop_job.other.1.0.abcdef01.service": "active"}, "cut"),
    ],
)
def test_a_run_without_an_end_is_under_way_only_where_systemd_says_so(
    kept: Kept, states: dict[str, str], wanted: str
) -> None:
    kept.run(10, DUE, due=DUE, result="running", ended=None)
    assert kept.look(NOON, states, {}).result == wanted


def test_a_run_that_did_not_come_is_due(kept: Kept) -> None:
    kept.run(9, DUE - 86400, due=DUE - 86400)
    assert kept.look(NOON, {}, {}).due == DUE
    (kept.folder / "paused.json").write_text("{}")
    found = kept.look(NOON, {}, {})
    assert (found.due, found.paused) == (None, True)


@pytest.mark.parametrize(
    "run",
    [
        {"started": DUE + 0.5, "due": DUE},
        {"started": DUE - 1.5, "ended": DUE - 1.0, "due": DUE},  # a clock that was set back
        {"started": DUE + 300, "due": DUE},  # late, and made up
        {"started": DUE - 600, "ended": DUE + 60},  # it was under way at that time
        {"started": DUE + 60},  # somebody asked for it
    ],
)
def test_a_time_that_was_answered_is_not_due(kept: Kept, run: dict[str, float]) -> None:
    kept.run(9, run.pop("started"), **run)
    assert kept.look(NOON, {}, {}).due is None


def test_a_time_before_the_boot_is_not_due_where_nothing_is_made_up(kept: Kept) -> None:
    kept.since(NOW - 10 * 86400)
    yesterday: timers.Table = {"schedule": "0 12 29 11 *", "zone": "UTC", "catch_up": False}
    assert kept.look(yesterday, {}, {}).due is None
    assert kept.look({**yesterday, "catch_up": True}, {}, {}).due == DUE - 86400


def test_of_a_timer_that_is_on_time_the_schedule_is_not_read(kept: Kept) -> None:
    """As systemctl of Debian 12 prints its times."""
    shown = {
        "cartwheel-shop_timer.tick.timer": {
            "ActiveState": "active",
            "LastTriggerUSec": "Mon 2026-11-30 17:28:01 UTC",
            "NextElapseUSecRealtime": "Mon 2026-11-30 17:31:00 UTC",
        }
    }
    kept.run(10, NOW - 148.6, due=NOW - 150.0)
    assert kept.look(EVERY_MINUTE, {}, shown).due is None
    assert kept.look(EVERY_MINUTE, {}, {}).due == NOW - 90.0, "without systemd's word"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Mon 2026-11-30 17:28:01 UTC", NOW - 149.0),
        ("n/a", None),
        ("", None),
        ("Mon 2026-11-30 17:28:01 CET", None),
    ],
)
def test_times_of_systemctl(text: str, wanted: float | None) -> None:
    assert units.time_of(text) == wanted


# -- sshd

GROUPS = (USER, "adm")
PLAIN = {
    "authorizedkeysfile": [".ssh/authorized_keys .ssh/authorized_keys2"],
    "pubkeyauthentication": ["yes"],
    "authenticationmethods": ["any"],
    "forcecommand": ["none"],
    "chrootdirectory": ["none"],
}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, None),
        ({"allowusers": ["root", "deploy"]}, "AllowUsers"),
        ({"allowusers": ["root", "cartwheel-*"]}, None),
        ({"allowusers": [f"{USER}@10.0.0.*"]}, None),
        ({"allowusers": [f"{USER}@10.0.1.*"]}, "AllowUsers"),
        ({"denyusers": [f"{USER}"]}, "DenyUsers"),
        ({"denyusers": ["guest"]}, None),
        ({"allowgroups": ["ssh", "sudo"]}, "AllowGroups"),
        ({"allowgroups": ["ssh", "adm"]}, None),
        ({"denygroups": ["adm"]}, "DenyGroups"),
        ({"pubkeyauthentication": ["no"]}, "PubkeyAuthentication"),
        ({"authorizedkeysfile": ["/etc/ssh/keys/%u"]}, "AuthorizedKeysFile"),
        ({"authorizedkeysfile": ["%h/.ssh/authorized_keys"]}, None),
        ({"forcecommand": ["internal-sftp"]}, "ForceCommand"),
        ({"chrootdirectory": ["/srv"]}, "ChrootDirectory"),
        ({"authenticationmethods": ["publickey,password"]}, "AuthenticationMethods"),
        ({"authenticationmethods": ["publickey"]}, None),
    ],
)
def test_why_sshd_refuses_the_key(more: dict[str, list[str]], says: str | None) -> None:
    found = [
        one
        for one in sshd.reasons({**PLAIN, **more}, GROUPS, "10.0.0.7")
        if not one.endswith("lets only root log in")
    ]
    assert len(found) == (says is not None)
    assert says is None or found[0].startswith(says)
