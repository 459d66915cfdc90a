"""The line of an event."""

from __future__ import annotations

from io import StringIO

import pytest

from cartwheel.events import Event
from cartwheel.terminal.format import UNICODE
from cartwheel.terminal.screen import Screen, Sink


@pytest.mark.parametrize(
    ("detail", "line"),
    [
        ("hook smoke (before confirm) ended with 7", "[lab1] ✗ hook smoke (before confirm) ended"),
        ("ended with 7", "[lab1] ✗ hook smoke ended with 7"),
        ("", "[lab1] ✗ hook smoke"),
    ],
)
def test_a_step_is_named_once(detail: str, line: str) -> None:
    screen = Screen(Sink(StringIO()), live=False, colour=False, marks=UNICODE, quiet=False)
    assert screen.line(Event("hook smoke", "failed", detail, "lab1")).startswith(line)
