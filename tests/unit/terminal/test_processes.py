"""Processes as rows and lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.processes import Processes, Row
from cartwheel.host.wire.timer import Timers
from cartwheel.terminal.format import table_lines
from cartwheel.terminal.processes import HEADS, draining_lines, rows

ROW = Row("worker", "2.1", "1.4.0.7f3a1c02", "running", 190.0, None, 61 << 20, 0, 7, "", None)


def test_rows() -> None:
    mark = Stopped("ann@desk", "the queue is full", "2026-11-29 14:30:00")
    some = (
        ROW,
        replace(ROW, state="draining", until_seconds=600.0),
        replace(ROW, state="failed", restarts=3, ended="exit-code"),
        replace(ROW, state="stopped", memory_bytes=None, stopped=mark),
    )
    found = [*rows(Processes("1.4.0.7f3a1c02", some, Timers((), None, {}, {}), {}))]
    assert found[0] == ("worker@2.1", "running", "1.4.0.7f3a1c02", "3 min", "61 MB", "0", "")
    assert found[1][-1].startswith("until ")
    assert found[2][-2:] == ("3", "exit-code")
    assert found[3][-1] == ("stopped by ann@desk since 2026-11-29 14:30:00: the queue is full")
    lines = table_lines([("web1", *row) for row in found], ("HOST", *HEADS), 80)
    assert max(map(len, lines)) <= 80
    first = next(line for line in lines if "running" in line)
    assert first.split() == [
        *("web1", "worker@2.1", "running", "1.4.0.7f3a1c02", "3", "min", "61", "MB", "0")
    ]


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "worker of 1.4.0.7f3a1c02 finishes its job, until "),
        (3, "3 worker of 1.4.0.7f3a1c02 finish their jobs, until "),
    ],
)
def test_what_drains(count: int, said: str) -> None:
    (line,) = draining_lines([replace(ROW, state="draining", until_seconds=60.0)] * count)
    assert line.startswith(said)
