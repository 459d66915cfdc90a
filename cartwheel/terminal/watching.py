"""Hosts as they are now: a table that is drawn again and again in its place, until `q`."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cartwheel.errors import CartwheelError
from cartwheel.host.wire.codec import to_json
from cartwheel.plan.live import Live, live
from cartwheel.telling import age_text, error_fields
from cartwheel.terminal.format import cells, encodable, fitted, local_time, table_lines

if TYPE_CHECKING:
    from cartwheel.fleet.sessions import Result
    from cartwheel.host.wire.look import HostLook
    from cartwheel.terminal.screen import Sink
    from cartwheel.terminal.show import Output

HEADS = (
    *("HOST", "LIVE", "SINCE", "HEALTH", "REQ/S", "5XX", "P50", "P95", "MEMORY", "LOAD"),
    *("DISK FREE", "NOTES"),
)
_SLICE_SECONDS = 0.2
_ENDS = ("q", "Q")
_MEGABYTE_BITS, _GIGABYTE_BITS = 20, 30


class Painter:
    """Shows each look in the place of the one before; without a terminal that can move its cursor,
    below it; and for programs as lines of JSON."""

    def __init__(self, out: Output, sink: Sink, *, live: bool) -> None:
        self._out = out
        self._sink = sink
        self._live = live
        self._drawn: list[str] = []

    def show(self, app: str, looks: Mapping[str, Result[HostLook]]) -> None:
        """One look at all hosts."""
        if self._out.for_programs:
            for host, one in looks.items():
                failed = isinstance(one, CartwheelError)
                answer = None if failed else to_json(one)
                error = error_fields(one) if isinstance(one, CartwheelError) else None
                self._out.tell(type="look", host=host, answer=answer, error=error)
            return
        size = self._sink.size()
        width = size.columns - 1 if self._live else self._sink.width
        lines = [f"{local_time(time.time(), '%H:%M:%S')}  {app}", *_table(app, looks, width)]
        self._draw(lines, size)

    def _draw(self, lines: Sequence[str], size: os.terminal_size) -> None:
        if not self._live:
            self._sink.write("".join(f"{line}\n" for line in lines))
            return
        shown = [fitted(line, max(1, size.columns - 1)) for line in lines[: max(1, size.lines - 1)]]
        text = "".join(f"{encodable(line, self._sink.encoding)}\n" for line in shown)
        self._sink.write(self._erasure(max(1, size.columns)) + text)
        self._drawn = shown

    def _erasure(self, width: int) -> str:
        """Moves the cursor up over what was drawn, also rows that have wrapped since."""
        height = sum(max(1, -(-cells(row) // width)) for row in self._drawn)
        return f"\r\x1b[{height}A\x1b[J" if height else ""


def _table(app: str, looks: Mapping[str, Result[HostLook]], width: int | None) -> Iterator[str]:
    yield from table_lines([_row(host, app, one) for host, one in looks.items()], HEADS, width)


def _row(host: str, app: str, one: Result[HostLook]) -> tuple[str, ...]:
    nothing = ("-",) * (len(HEADS) - 4)
    if isinstance(one, CartwheelError):
        return (host, "?", "-", "not known", *nothing[1:], one.message)
    found = live(one, app)
    if found is None:
        return (host, "nothing", "-", "not set up", *nothing[1:], "")
    return (
        host,
        found.release or "nothing",
        "-" if found.since is None else age_text(one.time - found.since),
        found.state,
        *_of_requests(found),
        f"{found.memory >> _MEGABYTE_BITS} MB" if found.memory else "-",
        f"{one.load:.1f}/{one.cpus}",
        _disk(one),
        "; ".join(found.notes),
    )


def _disk(look: HostLook) -> str:
    """The file system with the smallest free part."""
    fullest = min(look.disks, key=lambda disk: disk.free / max(1, disk.size), default=None)
    if fullest is None:
        return "-"
    return f"{fullest.path} {fullest.free / (1 << _GIGABYTE_BITS):.1f} GB"


def _of_requests(found: Live) -> tuple[str, str, str, str]:
    return (
        "-" if found.rate is None else f"{found.rate:.1f}",
        "-" if found.failed is None else f"{100 * found.failed:.1f} %",
        _seconds(found.usual),
        _seconds(found.slow),
    )


def _seconds(bound: float | None) -> str:
    return "-" if bound is None else f"{bound:g} s"


def painter_of(out: Output) -> Painter:
    """The painter for a task's output."""
    may_move = out.sink.is_terminal and os.environ.get("TERM", "") not in ("", "dumb")
    return Painter(out, out.sink, live=may_move)


def repeat(draw: Callable[[], None], every_seconds: float, times: int | None) -> None:
    """Draw until `q` is typed, or so many times. Raises what `draw` raises, and KeyboardInterrupt
    for Ctrl-C."""
    drawn = 0
    with _keys() as typed:
        while True:
            began = time.monotonic()
            draw()
            drawn += 1
            if drawn == times:
                return
            while time.monotonic() - began < every_seconds:
                if typed(_SLICE_SECONDS) in _ENDS:
                    return


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """A function that waits so many seconds for a key; "" if there is none. Without a terminal it
    only waits."""
    try:
        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
    except (OSError, ValueError, AttributeError, termios.error):
        yield _pause
        return

    def typed(seconds: float) -> str:
        ready, _, _ = select.select([number], [], [], seconds)
        with suppress(OSError):
            return os.read(number, 1).decode("ascii", "replace") if ready else ""
        return ""

    tty.setcbreak(number)
    try:
        yield typed
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _pause(seconds: float) -> str:
    time.sleep(seconds)
    return ""
