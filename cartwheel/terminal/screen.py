"""The screen of a person: lines that stay and, on a terminal, rows below them that change.

The rows are redrawn in place. Each is shorter than the terminal is wide, so that none of
them wraps; when the terminal shrinks, the next redraw counts the rows that have wrapped.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

from cartwheel.events import Event
from cartwheel.telling import step_text
from cartwheel.terminal.fold import groups, in_one
from cartwheel.terminal.format import (
    Marks,
    cells,
    encodable,
    fitted,
    marks_for,
    one_line,
    seconds_text,
)
from cartwheel.terminal.progress import OPERATOR, Running

_FALLBACK_SIZE = os.terminal_size((80, 24))
_NARROWEST = 10
_COLOURS = {"done": "32", "changed": "32", "failed": "31;1", "start": "36", "progress": "36"}
_DIM = "2"


class Sink:
    """A stream whose reader may go away; the run goes on. `lost` says why text was lost otherwise,
    "" if none was."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self.lost = ""
        self._dead = False

    @property
    def is_terminal(self) -> bool:
        return self.stream.isatty()

    def write(self, text: str) -> None:
        if self._dead:
            return
        try:
            self.stream.write(encodable(text, self.encoding))
            self.stream.flush()
        except BrokenPipeError:  # `| head`
            self._end()
        except OSError as error:  # a full disk, a closed terminal
            self.lost = error.strerror or str(error)
            self._end()

    def _end(self) -> None:
        self._dead = True
        # Otherwise Python complains when it flushes the stream at exit.
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.stream.fileno())
            os.close(nothing)

    @property
    def width(self) -> int | None:
        """The columns that a table may have: those of the terminal, or of COLUMNS; else any."""
        if (said := os.environ.get("COLUMNS", "")).isdigit() and int(said) >= _NARROWEST:
            return int(said)
        return self.size().columns if self.is_terminal else None

    def size(self) -> os.terminal_size:
        with suppress(OSError, ValueError):
            found = os.get_terminal_size(self.stream.fileno())
            if found.columns > 0 and found.lines > 0:
                return found
        return _FALLBACK_SIZE


class Screen:
    """Lines and rows for one run. Safe for threads.

    `live` is for a terminal that can move its cursor; without it every event is one line.
    A `quiet` screen prints no line for the start or the end of a step.
    """

    def __init__(self, sink: Sink, *, live: bool, colour: bool, marks: Marks, quiet: bool) -> None:
        self.live = live
        self.marks = marks
        self._sink = sink
        self._colour = colour
        self._quiet = quiet
        self._drawn: list[str] = []
        self._lock = threading.RLock()

    def event(self, event: Event, took: str = "") -> bool:
        """Print the line of an event, if it has one on this screen; whether it has. `took`
        replaces the event's own seconds."""
        moves_only = self.live and event.state in ("start", "progress")
        if moves_only or (self._quiet and event.state != "note" and not self.is_sign(event)):
            return False
        self.say(self.line(event, took or seconds_text(event.seconds)))
        return True

    def is_sign(self, event: Event) -> bool:
        """Whether this is a sign of life, which a quiet screen without rows shows too."""
        return event.state == "progress" and not self.live

    def line(self, event: Event, took: str = "") -> str:
        """`[lab1] ✓ install pip had 8 packages (1.4 s)`"""
        step = one_line(step_text(event.step))
        # Some failures name their step themselves.
        detail = one_line(event.detail).removeprefix(f"{step} ") if event.detail else ""
        return "{} {} {}{}{}".format(
            self.paint(f"[{event.host or OPERATOR}]", _DIM),
            self.paint(self.marks.of(event.state), _COLOURS.get(event.state, "")),
            step,
            f" {detail}" if detail else "",
            self.paint(f" ({took})", _DIM) if took else "",
        )

    def paint(self, text: str, colour: str) -> str:
        """ECMA-48 colour, if this screen has colours."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour and colour else text

    def say(self, text: str) -> None:
        """Print lines that stay."""
        with self._lock:
            self._sink.write(self._erasure() + text + "\n")

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Remove the rows while something else writes to the same terminal."""
        with self._lock:
            self.erase()
            yield

    def draw(self, running: Iterable[Running], now: float) -> None:
        """Redraw the rows if they have changed."""
        if not self.live:
            return
        with self._lock:
            size = self._sink.size()
            rows = self._rows(list(running), now, size)
            if rows != self._drawn:
                erasure = self._erasure()
                self._sink.write(erasure + "".join(f"{row}\n" for row in rows))
                self._drawn = rows

    def erase(self) -> None:
        with self._lock:
            erasure = self._erasure()
            if erasure:
                self._sink.write(erasure)

    def _erasure(self) -> str:
        """The sequence that moves the cursor up over the rows, also wrapped ones, and clears."""
        width = max(1, self._sink.size().columns)
        height = sum(max(1, -(-cells(row) // width)) for row in self._drawn)
        self._drawn = []
        return f"\r\x1b[{height}A\x1b[J" if height else ""

    def _rows(self, running: list[Running], now: float, size: os.terminal_size) -> list[str]:
        width = max(_NARROWEST, size.columns - 1)
        room = max(1, size.lines - 2)
        rows = [in_one(row) for row in groups(running, room, now)]
        return [fitted(self._row(one, now), width, self.marks.cut) for one in rows]

    def _row(self, one: Running, now: float) -> str:
        passed = f"{now - one.since:.1f} s"
        detail = f"  {one_line(one.detail)}" if one.detail else ""
        what = f"{self.marks.start} {one_line(step_text(one.step))} {passed}{detail}"
        text = f"[{one.host or OPERATOR}] {what}"
        return encodable(text, self._sink.encoding)


def screen_for(sink: Sink, variables: dict[str, str], *, quiet: bool) -> Screen:
    """The screen that fits a stream and the environment's wishes (TERM, NO_COLOR, locale)."""
    live = sink.is_terminal and variables.get("TERM", "") not in ("", "dumb")
    colour = live and not variables.get("NO_COLOR")
    marks = marks_for(sink.encoding, variables)
    return Screen(sink, live=live, colour=colour, marks=marks, quiet=quiet)
