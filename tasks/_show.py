"""How a person sees a run: events as lines, reports as a table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from cartwheel.errors import CartwheelError
from cartwheel.events import Event

if TYPE_CHECKING:
    from cartwheel.fleet.model import Report
    from cartwheel.run.ask import Answers

_MARK = {"start": "…", "done": "✓", "unchanged": "=", "changed": "✓", "failed": "✗", "note": "·"}


_BRIEF_SECONDS = 0.05


def line(event: Event) -> None:
    """One prefixed line for each event."""
    where = f"[{event.host}] " if event.host else ""
    took = (
        f" ({event.seconds:.1f} s)"
        if event.seconds is not None and event.seconds > _BRIEF_SECONDS
        else ""
    )
    detail = f" {event.detail}" if event.detail else ""
    mark = _MARK.get(event.state, "·")
    print(f"{where}{mark} {event.step}{detail}{took}", flush=True)


def table(rows: Iterable[Sequence[str]], heads: Sequence[str]) -> None:
    """Columns as wide as their widest cell."""
    cells = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(heads))]
    for row in cells:
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(text.rstrip())


def complain(text: str) -> None:
    print(text, file=sys.stderr)


def failure(error: CartwheelError) -> None:
    """The log, the one line, what to do next."""
    if error.detail:
        complain(error.detail)
    complain(f"{error}\n  {error.hint}")


def report(run: Report) -> int:
    """Every failure with what to do, then the final table; the exit code."""
    for host in run.hosts:
        if host.error is not None:
            failure(host.error)
    table(
        [(h.host, h.outcome, h.serves or "-", h.before or "-") for h in run.hosts],
        ("HOST", "OUTCOME", "SERVES", "BEFORE"),
    )
    print(f"{run.release} in {run.seconds:.1f} s")
    return run.exit_code


def answers(found: Answers, text: Callable[[dict[str, Any]], str]) -> int:
    """One line for each host; the worst exit code."""
    code = 0
    for host, one in found.items():
        if isinstance(one, CartwheelError):
            failure(one)
            code = max(code, one.exit_code)
        else:
            print(f"[{host}] {text(one)}")
    return code


def answer_table(
    found: Answers,
    heads: Sequence[str],
    rows: Callable[[dict[str, Any]], Iterable[Sequence[str]]],
) -> int:
    """One table over all hosts; the worst exit code."""
    good = {host: one for host, one in found.items() if not isinstance(one, CartwheelError)}
    table([(host, *row) for host, one in good.items() for row in rows(one)], ("HOST", *heads))
    bad = [one for one in found.values() if isinstance(one, CartwheelError)]
    for error in bad:
        failure(error)
    return max((error.exit_code for error in bad), default=0)


def confirmed(question: str, word: str) -> bool:
    """Ask a person to type `word`. Without a terminal the answer is no."""
    if not sys.stdin.isatty():
        complain("There is nobody to ask here; use --yes.")
        return False
    return input(f"{question}\nType {word} to go on: ").strip() == word
