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

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_SCALAR_END = re.compile(r"[,\]}#\n]")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL)


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
        self._skip(_SPACE)
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
        self._skip(_SPACE)
        self.at += 1  # "="
        self._skip(_SPACE)
        self._value(path)

    def _keys(self) -> list[tuple[str, int]]:
        """A dotted key: its parts with their offsets."""
        parts: list[tuple[str, int]] = []
        while True:
            self._skip(_SPACE)
            offset = self.at
            if self._char() in "\"'":
                raw = self._take(_BASIC if self._char() == '"' else _LITERAL)
                parts.append((tomllib.loads(f"k = {raw}")["k"], offset))
            else:
                parts.append((self._take(_BARE_KEY), offset))
            self._skip(_SPACE)
            if self._char() != ".":
                return parts
            self.at += 1

    def _value(self, path: Path) -> None:
        if self.text.startswith('"""', self.at):
            self._take(_LONG_BASIC)
        elif self.text.startswith("'''", self.at):
            self._take(_LONG_LITERAL)
        elif self._char() == '"':
            self._take(_BASIC)
        elif self._char() == "'":
            self._take(_LITERAL)
        elif self._char() == "[":
            self._array(path)
        elif self._char() == "{":
            self._inline_table(path)
        else:
            end = _SCALAR_END.search(self.text, self.at)
            self.at = end.start() if end else len(self.text)

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
        self._skip(_BLANK)
        return self._char()

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"not TOML at offset {self.at}")
        self.at = match.end()
        return match.group()
