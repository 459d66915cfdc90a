"""What a host says of itself, without changing anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.host.layout import OLD_SLOTS, Layout
from cartwheel.host.look import listing
from cartwheel.host.look import logs as look
from cartwheel.host.system import children
from cartwheel.host.web import nginx
from cartwheel.host.wire.history import AskHistory
from cartwheel.host.wire.output import ReadLogs
from cartwheel.host.wire.request import Done
from tests.unit.hostside import Session, host_in


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    return host_in(tmp_path, monkeypatch)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journalctl that says as many lines as it is asked for; the file has its arguments."""
    tools, arguments = tmp_path / "bin", tmp_path / "arguments"
    tools.mkdir()
    script = tools / "journalctl"
    script.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >{arguments}\n'
        'while [ "$1" != "-n" ]; do shift; done; seq 1 "$2"\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(children, "_PATH", f"{tools}:{children._PATH}")
    return arguments


def logs(at: Layout, lines: int) -> list[tuple[str, str]]:
    session = Session(at)
    assert look.logs(session.ctx(), ReadLogs(lines, follow=False)) == Done()
    return [(event["source"], event["detail"]) for event in session.events]


def test_as_many_lines_as_were_asked_for(
    at: Layout, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / f"{at.app}.access.log"
    log.write_text("".join(f"line {number}\n" for number in range(2000)))
    monkeypatch.setattr(nginx, "LOGS", tmp_path)
    told = logs(at, 500)
    assert [text for source, text in told if source == "app"] == [str(n) for n in range(1, 501)]
    assert [text for source, text in told if source == "nginx"] == [
        f"line {number}" for number in range(1500, 2000)
    ]


def test_only_this_applications_units(
    at: Layout, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nginx, "LOGS", Path("/nowhere"))
    logs(at, 1)
    words = asked.read_text().splitlines()
    units = [word for word in words if word.startswith("--unit=")]
    assert units == [f"--unit=cartwheel-shop.{slot}.[0-9]*.service" for slot in OLD_SLOTS]


def test_without_a_log_of_nginx_there_is_none(
    at: Layout, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nginx, "LOGS", Path("/nowhere"))
    assert logs(at, 2) == [("app", "1"), ("app", "2")]


def test_the_history_is_the_end_of_the_journal(at: Layout) -> None:
    at.journal.write_text("".join(f'{{"seq": {number}}}\n' for number in range(1, 9)))
    entries = listing.history(Session(at).ctx(), AskHistory(lines=3)).entries
    assert [entry.seq for entry in entries] == [6, 7, 8]
