"""The position of each key of a TOML file, for messages with file, line and column.

`tomllib` decides what is valid and what it means; this parses text that `tomllib`
has accepted, and only records positions (grammar: https://toml.io/en/v1.0.0).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_QUOTED = r""""(?:[^"\\\n]|\\.)*"|'[^'\n]*'"""
_KEY = re.compile(rf"[A-Za-z0-9_-]+|{_QUOTED}")
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})|''' + r"""'''.*?'''(?:'{0,2})|""" + _QUOTED, re.DOTALL
)


@dataclass(frozen=True, order=True)
class Position:
    """Both counted from 1; `column` in characters."""

    line: int
    column: int


def positions(text: str) -> dict[Path, Position]:
    """Every key, table and array element of a valid TOML text, at its first mention."""
    walker = _Walker(text)
    walker.document()
    return walker.found


class _Walker:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, Position] = {}
        self.last_index: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        while char := self._past_blanks():
            if char == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        is_array = self.text.startswith("[[", self.at)
        start = self.at
        self.at += len("[[" if is_array else "[")
        parts = self._keys()
        self._take(_SPACE)
        self.at += len("]]" if is_array else "]")
        path: Path = ()
        for number, (part, offset) in enumerate(parts, 1):
            path = (*path, part)
            self._note(path, offset)
            if number == len(parts) and is_array:
                self.last_index[path] = self.last_index.get(path, -1) + 1
                path = (*path, self.last_index[path])
                self._note(path, start)
            elif path in self.last_index:
                path = (*path, self.last_index[path])
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for part, offset in self._keys():
            path = (*path, part)
            self._note(path, offset)
        self._take(_SPACE)
        self.at += 1  # "="
        self._take(_SPACE)
        self._value(path)

    def _keys(self) -> list[tuple[str, int]]:
        """A dotted key: its parts with their offsets."""
        parts: list[tuple[str, int]] = []
        while True:
            self._take(_SPACE)
            offset = self.at
            raw = self._take(_KEY)
            parts.append((tomllib.loads(f"k = {raw}")["k"] if raw[0] in "\"'" else raw, offset))
            self._take(_SPACE)
            if self._char() != ".":
                return parts
            self.at += 1

    def _value(self, path: Path) -> None:
        char = self._char()
        if char == "[":
            self._array(path)
        elif char == "{":
            self._inline_table(path)
        else:
            self._take(_STRING if char in ("'", '"') else _SCALAR)

    def _array(self, path: Path) -> None:
        for index, at in enumerate(self._items("]")):
            self._note((*path, index), at)
            self._value((*path, index))

    def _inline_table(self, path: Path) -> None:
        for _at in self._items("}"):
            self._pair(path)

    def _items(self, end: str) -> Iterator[int]:
        """The offset of each item up to the `end`; who gets it goes past the item."""
        self.at += 1
        while (char := self._past_blanks()) != end:
            if char == ",":
                self.at += 1
            else:
                yield self.at
        self.at += 1

    def _note(self, path: Path, offset: int) -> None:
        if path not in self.found:
            line = self.text.count("\n", 0, offset) + 1
            column = offset - (self.text.rfind("\n", 0, offset) + 1) + 1
            self.found[path] = Position(line, column)

    def _char(self) -> str:
        return self.text[self.at : self.at + 1]

    def _past_blanks(self) -> str:
        """The next character that is neither blank nor in a comment; "" at the end."""
        self._take(_BLANK)
        return self._char()

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"not TOML at offset {self.at}")
        self.at = match.end()
        return match.group()
