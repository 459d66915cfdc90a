"""How a person sees a run: events as lines, reports as a table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from cartwheel.events import Event

_MARK = {"start": "…", "done": "✓", "unchanged": "=", "changed": "✓", "failed": "✗", "note": "·"}


_BRIEF_SECONDS = 0.05


def line(event: Event) -> None:
    """One prefixed line for each event."""
    where = f"[{event.host}] " if event.host else ""
    took = f" ({event.seconds:.1f} s)" if event.seconds is not None and event.seconds > _BRIEF_SECONDS else ""
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
