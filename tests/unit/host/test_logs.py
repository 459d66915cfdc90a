"""The logs of an application: the kind of each line, the choice of lines, and their order."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.layout import OLD_SLOTS, Layout
from cartwheel.host.look import log_files
from cartwheel.host.look.logs import logs as look
from cartwheel.host.system import children
from cartwheel.host.system.context import OpError
from cartwheel.host.web import kinds, nginx
from cartwheel.host.wire.output import ReadLogs
from cartwheel.host.wire.request import Done
from tests.unit.hostside import Session, host_in

UNIT = "cartwheel-shop.web.1.0.aaaaaaaa@1.service"
NOW = 1_790_000_000


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    host = host_in(tmp_path, monkeypatch)
    monkeypatch.setattr(nginx, "LOGS", tmp_path)
    return host


class Journal:
    """A journalctl that answers for the app's units; `calls` are the arguments of each call."""

    def __init__(self, folder: Path) -> None:
        self._entries = folder / "entries"
        self._calls = folder / "calls"
        self._entries.touch()
        script = folder / "journalctl"
        script.write_text(
            f"""#!/bin/sh
echo "$@" >>{self._calls}
case "$*" in *session*) exit;; esac
n=100000
for word; do case $word in --lines=*) n=${{word#--lines=}};; esac; done
tail -n "$n" {self._entries}
"""
        )
        script.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        return [line.split() for line in self._calls.read_text().splitlines()]

    def add(self, message: Any, at: float = 0.0, **more: str) -> None:
        entry = {
            "__REALTIME_TIMESTAMP": str(round((NOW + at) * 1e6)),
            "__CURSOR": "c",
            "_PID": "7",
            "PRIORITY": "6",
            "_SYSTEMD_UNIT": UNIT,
            "MESSAGE": message,
            **more,
        }
        with self._entries.open("a") as file:
            file.write(json.dumps(entry) + "\n")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setattr(children, "_PATH", f"{tools}:{children._PATH}")
    return Journal(tools)


def told(at: Layout, lines: int | None = 50, **asked: Any) -> list[tuple[str, str]]:
    session = Session(at)
    assert look(session.ctx(), ReadLogs(lines, follow=False, **asked)) == Done()
    *events, end = session.events
    assert end["state"] == "done"
    assert [one["at"] for one in events] == sorted(one["at"] for one in events)
    return [(one["source"], one["detail"]) for one in events]


def texts(at: Layout, lines: int | None = 50, **asked: Any) -> list[str]:
    return [text for _source, text in told(at, lines, **asked)]


def access(at: float, path: str = "/", status: int = 200) -> str:
    return f'1.2.3.4 [t] shop "GET {path} HTTP/1.1" {status} 5 "-" "-" at={NOW + at:.3f} probe=\n'


def test_a_release_that_never_was_is_named(at: Layout, journal: Journal) -> None:
    """One that was pruned left its line in the journal."""
    entry = {"seq": 1, "at": NOW + 5, "kind": "deploy", "release": "1.0.aaaaaaaa"}
    at.journal.write_text(json.dumps(entry) + "\n")
    for release, missing in {
        "1.0": "",
        "1.0.aaaaaaaa": "",
        "9.9": "--release 9.9: no such release was here",
    }.items():
        session = Session(at)
        asked = ReadLogs(50, follow=False, release=release, sources=("gunicorn", "app"))
        look(session.ctx(), asked)
        assert session.events[-1]["detail"] == missing


def test_all_logs_in_order_of_time(at: Layout, journal: Journal, tmp_path: Path) -> None:
    clock = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(NOW + 2))
    error = f"{clock} [error] 7#7: *1 connect() failed"
    (tmp_path / "shop.access.log").write_text(access(1, "/a") + access(4, "/b"))
    (tmp_path / "shop.error.log").write_text(f"{error}\n")
    journal.add("Started", 0, _PID="1", UNIT=UNIT, _SYSTEMD_UNIT="init.scope")
    journal.add("[2026-09-21 14:13:20 +0000] [7] [INFO] Booting worker", 0.5)
    journal.add("hello", 3)
    entry = {"seq": 1, "at": NOW + 5, "kind": "deploy", "release": "1.0.aaaaaaaa"}
    entry |= {"result": "confirmed", "who": "ann@desk", "message": "why"}
    at.journal.write_text(json.dumps(entry) + "\n")
    assert told(at) == [
        ("systemd", "Started"),
        ("gunicorn", "[2026-09-21 14:13:20 +0000] [7] [INFO] Booting worker"),
        ("nginx-access", access(1, "/a").strip()),
        ("nginx-error", error),
        ("app", "hello"),
        ("nginx-access", access(4, "/b").strip()),
        ("cartwheel", "deploy 1.0.aaaaaaaa: done, by ann@desk: why"),
    ]
    assert told(at, sources=("app", "nginx-error")) == [("nginx-error", error), ("app", "hello")]
    assert [source for source, _text in told(at, release="1.0")] == [
        "systemd", "gunicorn", "app", "cartwheel",
    ]  # fmt: skip
    assert told(at, release="1.1") == []


def test_as_many_lines_of_each_log_as_were_asked_for(
    at: Layout, journal: Journal, tmp_path: Path
) -> None:
    (tmp_path / "shop.access.log").write_text("".join(access(n, f"/{n}") for n in range(2000)))
    for number in range(600):
        journal.add(f"line {number}", number)
    found = told(at, 500)
    assert [text for source, text in found if source == "app"] == [
        f"line {number}" for number in range(100, 600)
    ]
    assert sum(source == "nginx-access" for source, _text in found) == 500
    assert f"/{1500} " in next(text for source, text in found if source == "nginx-access")


def test_only_this_applications_units(at: Layout, journal: Journal) -> None:
    texts(at)
    of_app, of_operations = [
        [word for word in call if word.startswith("--unit=")] for call in journal.calls
    ]
    assert of_app == [f"--unit=cartwheel-shop.{slot}.[0-9]*.service" for slot in OLD_SLOTS]
    assert f"--unit=cartwheel-session-shop-{'[0-9a-f]' * 8}.service" in of_operations


def test_each_process_is_named_and_can_be_chosen(at: Layout, journal: Journal) -> None:
    folder = at.release("1.0.aaaaaaaa")
    folder.mkdir()
    for process in ("web", "worker"):
        (folder / f"{process}@.service").touch()
    journal.add("served", 0)
    journal.add("a job", 1, _SYSTEMD_UNIT=UNIT.replace("web", "worker").replace("@1", "@1.2"))
    session = Session(at)
    look(session.ctx(), ReadLogs(50, follow=False))
    named = [(one.get("process"), one["detail"]) for one in session.events[:-1]]
    assert named == [(None, "served"), ("worker 2", "a job")]
    assert told(at, processes=("worker",)) == [("app", "a job")]
    assert told(at, processes=("web",)) == [("app", "served")]
    asked = [word for word in journal.calls[-1] if word.startswith("--unit")]
    assert not any("worker" in word for word in asked)
    with pytest.raises(OpError, match="--process workr: no release here has this process"):
        told(at, processes=("workr",))


def test_nothing_is_a_blob(at: Layout, journal: Journal) -> None:
    """journald stores text with other bytes or control characters as a list of bytes."""
    long = "x" * 40_000
    journal.add(list(b"caf\xe9 \x1b[31mred"))
    journal.add(long)
    journal.add("two\nlines")
    journal.add(None)
    journal.add(["once", "again"])
    assert texts(at) == ["caf\ufffd \x1b[31mred", long, "two", "lines", "", "once", "again"]
    assert all("--all" in call and "--output=json" in call for call in journal.calls)


def test_what_is_no_entry_is_left_out(at: Layout, journal: Journal) -> None:
    with (journal._entries).open("w") as file:
        file.write('{"MESSAGE": "no time"}\nnot json\n[]\n')
    journal.add("good")
    assert texts(at) == ["good"]


TRACEBACK = """Traceback (most recent call last):
  File "app.py", line 1, in <module>
    one()
    ~~~^^
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "app.py", line 3, in <module>
ValueError: two
  of them"""


def test_errors(at: Layout, journal: Journal, tmp_path: Path) -> None:
    """A traceback is one error, also where another process writes between its lines."""
    (tmp_path / "shop.access.log").write_text(access(1, "/a") + access(2, "/b", 502))
    (tmp_path / "shop.error.log").write_text(
        "2026/09/21 14:13:20 [notice] 7#7: fine\n2026/09/21 14:13:20 [crit] 7#7: not fine\n"
    )
    journal.add("WARNING: ERRORS are not many")
    journal.add("ERROR:root:it failed", 1)
    for number, line in enumerate(TRACEBACK.splitlines()):
        journal.add(line, 2 + number / 100)
        journal.add("GET /error 200", 2 + number / 100, _PID="8")
    journal.add("after it", 3)
    journal.add("[2026-09-21 14:13:20 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:9)", 4)
    journal.add('{"event": "x", "level": "error"}', 5)
    journal.add("systemd: Failed with result", 6, _PID="1", PRIORITY="4", UNIT=UNIT)
    found = told(at, errors=True)
    assert [text for source, text in found if source == "app"] == [
        "ERROR:root:it failed",
        *TRACEBACK.splitlines()[:-1],
        '{"event": "x", "level": "error"}',
    ]
    rest = [text for source, text in found if source != "app"]
    assert [text for text in rest if "WORKER TIMEOUT" in text or "Failed with" in text]
    assert any('"GET /b HTTP/1.1" 502' in text for text in rest)
    assert any("not fine" in text for text in rest)
    assert len(rest) == 4


def test_a_rare_line_is_searched_for_until_it_is_found(at: Layout, journal: Journal) -> None:
    journal.add("The needle")
    for number in range(2500):
        journal.add(f"hay {number}", number)
    assert texts(at, 1, pattern="needle") == ["The needle"]
    assert texts(at, 1, pattern="Needle") == []
    assert texts(at, 1, pattern=r"hay \d+$") == ["hay 2499"]


def test_a_pattern_that_is_none_here(at: Layout) -> None:
    with pytest.raises(OpError, match="--grep") as caught:
        texts(at, pattern="(")
    assert caught.value.slug == "usage"


def test_rotated_files_are_read_too(
    at: Layout, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + 100.0)
    log = tmp_path / "shop.access.log"
    log.write_text(access(30, "/c") + "half a li")
    log.with_name(log.name + ".1").write_text(access(20, "/b"))
    log.with_name(log.name + ".2.gz").write_bytes(gzip.compress(access(10, "/a").encode()))
    log.with_name(log.name + ".bak").write_text(access(0, "/never"))
    paths = [text.split('"')[1].split()[1] for text in texts(at)]
    assert paths == ["/a", "/b", "/c"]
    assert len(texts(at, None, ago_seconds=85.0)) == 2
    assert len(texts(at, 1)) == 1


def test_without_a_log_of_nginx_there_is_none(at: Layout, journal: Journal) -> None:
    journal.add("1")
    assert told(at) == [("app", "1")]


def test_lines_longer_than_a_block(tmp_path: Path) -> None:
    log = tmp_path / "shop.access.log"
    lines = [f"{n} " + "x" * (log_files._BLOCK_BYTES // 3 + n) for n in range(9)]
    log.write_text("\n".join(lines) + "\n")
    read = log_files.SiteLog(log, "s", kinds.named("nginx"))
    found = list(read._backwards())
    assert [text.split()[0] for text in found] == [str(n) for n in reversed(range(9))]


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ('1.1.1.1 [t] a "GET / HTTP/1.1" 200 1 at=1790000000.123 probe=', 1790000000.123),
        ('1.1.1.1 [2026-09-21T16:13:20+02:00] a "GET /"', 1790000000.0),
        ('1.1.1.1 - - [21/Sep/2026:09:43:20 -0430] "GET / HTTP/1.1"', 1790000000.0),
        ("no time at all", None),
        ("[2026-99-21T16:13:20+02:00]", None),
    ],
)
def test_times(line: str, at: float | None) -> None:
    assert nginx.Nginx().look_at(line)[0] == at
