"""Turns values into text and columns. Nothing here prints."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MINUTE_SECONDS = 60
HOUR_SECONDS = 60 * MINUTE_SECONDS
DAY_SECONDS = 24 * HOUR_SECONDS
_BRIEF_SECONDS = 0.05  # shorter than this is not worth a number
_TENTHS_SECONDS = 10.0  # tenths are shown of less

# ECMA-48: control sequences, operating system commands, and other escapes.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Marks:
    """The sign in front of an event, by its state."""

    start: str
    progress: str
    done: str
    unchanged: str
    changed: str
    failed: str
    note: str
    cut: str  # where a line was cut off

    def of(self, state: str) -> str:
        mark: str = getattr(self, state, self.note)
        return mark


UNICODE = Marks("…", "…", "✓", "=", "✓", "✗", "·", "…")
ASCII = Marks("..", "..", "ok", "==", "ok", "!!", "--", "~")


def marks_for(encoding: str | None, variables: dict[str, str]) -> Marks:
    """Signs that the terminal can show.

    Python writes UTF-8 even if the locale was set to C on purpose (PEP 538, PEP 540);
    a person who sets it wants ASCII.
    """
    if (encoding or "").lower().replace("-", "") != "utf8":
        return ASCII
    locale = variables.get("LC_ALL") or variables.get("LANG")
    return ASCII if locale in ("C", "POSIX") else UNICODE


def clean(text: str) -> str:
    """A host's text without control sequences: it cannot move the cursor or change colours."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\t", "    ")))


def one_line(text: str) -> str:
    return " ".join(clean(text.replace("\n", " ")).split())


def encodable(text: str, encoding: str | None) -> str:
    """The text with `\\u....` for each character that the encoding lacks."""
    name = encoding or "ascii"
    return text.encode(name, "backslashreplace").decode(name)


def cells(text: str) -> int:
    """The number of columns that the text takes on a terminal (Unicode annex 11)."""
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, width: int, cut: str = "…") -> str:
    """The text, cut to `width` columns."""
    if cells(text) <= width:
        return text
    kept, used = "", cells(cut)
    for character in text:
        used += _cell(character)
        if used > width:
            break
        kept += character
    return (kept + cut) if cells(kept + cut) <= width else ""


def padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def seconds_text(seconds: float | None) -> str:
    """A duration: `0.4 s`, `12 s`, `3 min 20 s`; empty if it took no time."""
    if seconds is None or seconds < _BRIEF_SECONDS:
        return ""
    if round(seconds) < MINUTE_SECONDS:
        return f"{seconds:.1f} s" if seconds < _TENTHS_SECONDS else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), MINUTE_SECONDS)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def half_within(values: Iterable[float]) -> float:
    """The median: half of the values do not exceed it."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def age_text(seconds: float | None) -> str:
    """How long ago something was, in its largest unit: `12 s`, `5 min`, `2 h`, `3 days`."""
    if seconds is None:
        return "-"
    for unit, name in ((DAY_SECONDS, "days"), (HOUR_SECONDS, "h"), (MINUTE_SECONDS, "min")):
        if seconds >= unit:
            count = int(seconds // unit)
            return f"{count} {'day' if name == 'days' and count == 1 else name}"
    return f"{max(0, int(seconds))} s"


def local_time(epoch_seconds: float | None) -> str:
    """A time in the operator's own time zone."""
    if epoch_seconds is None:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_seconds))


def utc_to_local(text: str) -> str:
    """`2026-11-22T23:46:14Z` in the operator's own time zone; other text unchanged."""
    import calendar

    try:
        return local_time(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return text


def table_lines(rows: Iterable[Sequence[str]], heads: Sequence[str]) -> list[str]:
    """Columns as wide as their widest cell."""
    table = [tuple(heads), *(tuple(one_line(cell) for cell in row) for row in rows)]
    widths = [max(cells(row[n]) for row in table) for n in range(len(heads))]
    return [
        "  ".join(padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
