"""The lines of ssh_config(5), split as ssh splits them; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cartwheel.ssh.found import lowered, refused

_LINE = re.compile(r"[ \t\r]*([^ \t\r=\"]+)(?:[ \t\r]*=[ \t\r]*|[ \t\r]+|$)(.*)", re.DOTALL)
# A backslash only counts before a quote, a backslash or, outside of quotes, a blank.
_PART = re.compile(
    r"""
    " (?: \\["'\\] | [^"] )*+ " | ' (?: \\["'\\] | [^'] )*+ ' | (?: \\["'\\\x20] | [^"'\x20\t] )++
    """,
    re.VERBOSE,
)
_WORD = re.compile(rf"(?=[^\x20\t])(?: {_PART.pattern} )*+ (?P<open>[\"'])?", re.VERBOSE)
_ESCAPED = re.compile(r"\\([\"'\\])")
_ESCAPED_OR_BLANK = re.compile(r"\\([\"'\\ ])")
_REST_OF_LINE = frozenset(
    {"knownhostscommand", "localcommand", "proxycommand", "proxyjump", "remotecommand"}
    | {"versionaddendum"}
)
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Statement:
    """A keyword in lower case with its words: a single one if it takes the rest of the line."""

    keyword: str
    words: tuple[str, ...]
    place: str


def statements(text: str, file: Path) -> Iterator[Statement]:
    """The statements of a file. Raises UsageError `ssh-config` with file and line."""
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{file}:{number}"
        bare = line.rstrip(" \t\r\n\f")
        if "\0" in bare:
            raise refused(place, "a NUL byte; the file must be UTF-8")
        if bare.startswith(_BYTE_ORDER_MARK):
            raise refused(place, "a byte order mark, which ssh refuses; save the file without it")
        found = _LINE.fullmatch(bare)
        if not bare.strip(" \t\r") or bare.lstrip(" \t\r").startswith("#"):
            continue
        if not found or not found[2]:
            raise refused(place, f"`{bare.strip()}` has no value")
        yield statement(found[1], found[2], place)


def statement(keyword: str, rest: str, place: str) -> Statement:
    """One statement, from its keyword and the rest of its line."""
    keyword = lowered(keyword)
    words = tuple(words_of(rest, place))
    if keyword in _REST_OF_LINE:
        return Statement(keyword, (rest.lstrip(" \t\r="),), place)
    return Statement(keyword, words, place)


def words_of(text: str, place: str) -> Iterator[str]:
    """The words of a line, without quotes; a comment begins where a word could."""
    for found in _WORD.finditer(text):
        if found[0].startswith("#"):
            return
        if found["open"]:
            raise refused(place, f"a quote is not closed: {text}")
        yield "".join(map(_unquoted, _PART.findall(found[0])))


def _unquoted(part: str) -> str:
    if part[0] in "\"'":
        return _ESCAPED.sub(r"\1", part[1:-1])
    return _ESCAPED_OR_BLANK.sub(r"\1", part)
