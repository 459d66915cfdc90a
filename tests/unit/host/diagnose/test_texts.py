"""The newest lines of each log, and what happens to an area or a log that cannot be read."""

from __future__ import annotations

import gzip
import os
import zlib
from concurrent.futures import Future
from pathlib import Path

import pytest

from cartwheel.host.diagnose import diagnose, texts
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.layout import Layout
from cartwheel.host.system import children
from cartwheel.host.system.context import OpError
from cartwheel.host.web import nginx
from cartwheel.host.wire.diagnosis import Sign
from tests.unit.host.test_logs import NOW, Journal, access
from tests.unit.hostside import Session, host_in

WINDOW = Window(NOW - 100.0, NOW + 100.0)
SIGN = Sign("kind", "about", 1, 1.0, 1.0)


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    host = host_in(tmp_path, monkeypatch)
    monkeypatch.setattr(nginx, "LOGS", tmp_path)
    return host


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setattr(children, "_PATH", f"{tools}:{children._PATH}")
    return Journal(tools)


def damaged(text: str) -> bytes:
    """What gzip unpacks to some bytes, and then to an error."""
    data = bytearray(gzip.compress(text.encode(), mtime=0))
    data[10] = 0x07  # a kind of block that there is not
    return bytes(data)


def test_the_journal_is_asked_for_its_last_lines_only(at: Layout, journal: Journal) -> None:
    """Of a time journalctl reads all, which may be millions of entries."""
    journal.add("too old", -200)
    for number in range(3000):
        journal.add(f"line {number}", number / 100)
    found, unread = texts.newest(Session(at).ctx(), WINDOW)
    lines = found["app"].splitlines()
    assert (len(lines), lines[-1].partition(" ")[2]) == (2000, "web: line 2999")
    assert unread == ()
    assert not [word for call in journal.calls for word in call if word.startswith("--since")]


def test_only_lines_of_that_time(at: Layout, journal: Journal, tmp_path: Path) -> None:
    journal.add("too old", -200)
    journal.add("new", 1)
    (tmp_path / "shop.access.log").write_text(access(-200, "/old") + access(1, "/new"))
    found, _ = texts.newest(Session(at).ctx(), WINDOW)
    assert "new" in found["app"]
    assert "/new" in found["nginx-access"]
    assert "old" not in found["app"] + found["nginx-access"]


def test_a_log_that_cannot_be_read_hides_no_other(
    at: Layout, journal: Journal, tmp_path: Path
) -> None:
    journal.add("hello", 1)
    (tmp_path / "shop.access.log").write_text(access(1))
    packed = tmp_path / "shop.access.log.1.gz"
    packed.write_bytes(damaged(access(0)))
    os.utime(packed, (NOW, NOW))
    found, unread = texts.newest(Session(at).ctx(), WINDOW)
    assert "hello" in found["app"]
    (text,) = unread
    assert text.startswith("the lines of nginx-access: error: Error -3 while decompressing data")


def test_a_journal_that_does_not_answer_is_named(
    at: Layout, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.access.log").write_text(access(1))
    (tmp_path / "bin/journalctl").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(texts, "_SECONDS", 0.2)
    found, unread = texts.newest(Session(at).ctx(), WINDOW)
    assert list(found) == ["nginx-access"]
    assert [text.partition(": ")[0] for text in unread] == [
        "the lines of app, gunicorn, systemd",
        "the lines of cartwheel, hooks",
    ]


def _missing() -> OpError:
    with pytest.raises(OpError) as caught:
        children.ask(["no-such-program"], timeout_seconds=10.0)
    return caught.value


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (_missing(), "no-such-program is not on this host"),
        (PermissionError(13, "Permission denied", "/a"), "[Errno 13] Permission denied: '/a'"),
        (zlib.error("Error -3"), "error: Error -3"),
        (KeyError("x"), "KeyError: 'x'"),
        (RecursionError("too deep"), "RecursionError: too deep"),
    ],
)
def test_an_area_that_fails_hides_no_other(error: Exception, said: str) -> None:
    well: Future[Found] = Future()
    well.set_result(Found(signs=(SIGN,)))
    ill: Future[Found] = Future()
    ill.set_exception(error)
    late: Future[Found] = Future()
    found = diagnose._parts({ill: "requests", well: "the host", late: "names"})
    assert [one.signs for one in found] == [(), (SIGN,), ()]
    assert [text for one in found for text in one.unread] == [
        f"requests: {said}",
        "names: took longer than 4 s",
    ]
