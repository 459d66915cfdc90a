"""Turns values into text and columns. Nothing here prints."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MINUTE_SECONDS = 60
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


def local_time(epoch_seconds: float | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time in the operator's own time zone."""
    if epoch_seconds is None:
        return "-"
    return time.strftime(form, time.localtime(epoch_seconds))


def minute(epoch_seconds: float | None) -> str:
    """A time in a table, without seconds."""
    return local_time(epoch_seconds, "%Y-%m-%d %H:%M")


def utc_to_local(text: str) -> str:
    """`2026-11-22T23:46:14Z` as `minute`; other text unchanged."""
    import calendar

    try:
        return minute(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return text


def table_lines(
    rows: Iterable[Sequence[str]], heads: Sequence[str], width: int | None = None
) -> list[str]:
    """Columns as wide as their widest cell. In a smaller `width` the last column is wrapped, and
    columns that still do not fit come below the others; nothing is cut."""
    table = [tuple(heads), *(tuple(one_line(cell) for cell in row) for row in rows)]
    widths = [max(cells(row[n]) for row in table) for n in range(len(heads))]
    if width is None or _total(widths) <= width:
        return [_joined(row, widths) for row in table]
    shown = [n for n in range(len(heads)) if n == 0 or any(row[n] for row in table[1:])]
    blocks = _blocks([widths[n] for n in shown], width)
    lines: list[str] = []
    for row in table:
        left = [row[n] for n in shown]
        for number, block in enumerate(blocks):
            indent = " " * _INDENT if number else ""
            lines += [indent + line for line in _wrapped(left[: len(block)], block)]
            left = left[len(block) :]
    return [line for line in lines if line.strip()]


_INDENT = 2  # of columns that come below the others
_GAP = 2
_NARROWEST = 20  # of a column that is wrapped


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """The columns' widths, in groups that fit beside each other."""
    blocks: list[list[int]] = [[]]
    for number, width in enumerate(widths):
        block = blocks[-1]
        free = room - (_INDENT if len(blocks) > 1 else 0) - sum(one + _GAP for one in block)
        is_last = number == len(widths) - 1
        if width <= free or (is_last and free >= _NARROWEST):
            block.append(min(width, free))
        elif not block:
            block.append(free)
        else:
            blocks.append([min(width, room - _INDENT)])
    return blocks


def _wrapped(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """A row whose cells may need several lines."""
    lines = [_cell_lines(cell, width) for cell, width in zip(row, widths, strict=True)]
    return [
        _joined([one[n] if n < len(one) else "" for one in lines], widths)
        for n in range(max(map(len, lines)))
    ]


def _cell_lines(text: str, width: int) -> list[str]:
    """The text in lines of at most this many columns; words are only cut where they must be."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and cells(line) + 1 + cells(word) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
        while cells(line) > width:
            part = fitted(line, width, "")
            lines.append(part)
            line = line[len(part) :]
    return [*lines, line]


def _joined(row: Sequence[str], widths: Sequence[int]) -> str:
    cells_of_it = [padded(cell, width) for cell, width in zip(row, widths, strict=True)]
    return (" " * _GAP).join(cells_of_it).rstrip()
