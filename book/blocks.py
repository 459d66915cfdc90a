"""The blocks of a page, and what a page says about running them.

A page is one story: its blocks run from top to bottom in one folder. What readers do not need to
see stands in HTML comments, each on a line of its own outside of blocks:

    <!-- story: hosts=lab1,lab2 -->       the disposable hosts that the page needs
    <!-- run before: COMMAND -->          a command of the same shell that readers do not see
    <!-- keyboard -->                     the next block's command asks questions
    <!-- exits 3 -->                      the exit code of the next block's last command
    <!-- not run: REASON -->              the next block is not run; REASON is one of NOT_RUN
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Why a block is not run: it belongs to another program, or shows what no run makes again.
NOT_RUN = {
    "supervisor": "a file or command of supervisor",
    "capistrano": "a file or command of Capistrano",
    "fujin": "a file or command of fujin",
    "ansible": "a file or command of Ansible",
    "baota": "a file or command of 宝塔",
    "github": "runs at GitHub; tests/lab/test_ci_examples.py runs its steps",
    "gitlab": "runs at GitLab; tests/lab/test_ci_examples.py runs its steps",
    "by-hand": "commands of an article that Cartwheel replaces",
    "real-server": "needs a public server, name or certificate authority",
    "measured": "figures of a benchmark; its command stands beside it",
    "a-file-of-yours": "a part of a reader's own file",
    "form": "the form of something, with names to fill in",
}

_FENCE = re.compile(r"^( *)(`{3,})([\w-]*)(.*)$")
_COMMENT = re.compile(
    r"^ *<!-- (?P<kind>story|run before|keyboard|exits|not run)[: ]*(?P<text>.*?) *-->$"
)
_TITLE = re.compile(r' title="([^"]+)"')
_INDENTED = re.compile(r"^ {4,}\S")


class PageError(Exception):
    """A page does not say in the right form how its blocks run."""


@dataclass(frozen=True)
class Block:
    """One fenced block. `line` is that of its opening fence, from 1."""

    line: int
    language: str
    title: str
    text: str
    keyboard: bool = False
    exits: int = 0
    not_run: str = ""


@dataclass(frozen=True)
class Hidden:
    """A command that readers do not see."""

    line: int
    command: str


@dataclass(frozen=True)
class Page:
    """What a page runs, in its order; `hosts` are the names of its story's hosts."""

    path: Path
    hosts: tuple[str, ...]
    parts: tuple[Block | Hidden, ...]

    @property
    def blocks(self) -> list[Block]:
        return [part for part in self.parts if isinstance(part, Block)]

    @property
    def is_story(self) -> bool:
        """Whether something on this page is run by a shell."""
        return any(
            isinstance(part, Hidden) or (part.language in SHELLS and not part.not_run)
            for part in self.parts
        )


SHELLS = ("console", "sh")


@dataclass
class _Marks:
    """What comments have said about the next block."""

    keyboard: bool = False
    exits: int = 0
    not_run: str = ""
    lines: list[int] = field(default_factory=list)


def read(path: Path) -> Page:
    """The blocks of a Markdown page.

    Raises PageError for an unknown reason or exit code, a mark without a block, a block without a
    language, and an indented block.
    """
    hosts: tuple[str, ...] = ()
    parts: list[Block | Hidden] = []
    marks = _Marks()
    lines = list(enumerate(path.read_text().splitlines(), 1))
    before = ""
    rest = iter(lines)
    for number, line in rest:
        if fence := _FENCE.match(line):
            parts.append(_block(path, number, fence, rest, marks))
            marks = _Marks()
        elif comment := _COMMENT.match(line):
            kind, text = comment["kind"], comment["text"]
            if kind == "story":
                hosts = tuple(_hosts(path, number, text))
            elif kind == "run before":
                parts.append(Hidden(number, text))
            else:
                _mark(marks, path, number, kind, text)
        elif _INDENTED.match(line) and not before.strip() and not _in_list(lines, number):
            raise _wrong(path, number, "an indented block; fence it, with its language")
        elif line.strip() and marks.lines:
            raise _wrong(path, marks.lines[0], "no block follows")
        before = line
    if marks.lines:
        raise _wrong(path, marks.lines[0], "no block follows")
    return Page(path, hosts, tuple(parts))


def _block(
    path: Path, number: int, fence: re.Match[str], rest: Iterator[tuple[int, str]], marks: _Marks
) -> Block:
    indent, ticks, language, more = fence.groups()
    if not language:
        raise _wrong(path, number, "a block without its language")
    text = []
    for _, line in rest:
        if line.strip() == ticks:
            break
        text.append(line.removeprefix(indent))
    else:
        raise _wrong(path, number, "this block has no end")
    title = _TITLE.search(more)
    return Block(
        number,
        language,
        title[1] if title else "",
        "".join(f"{line}\n" for line in text),
        marks.keyboard,
        marks.exits,
        marks.not_run,
    )


def _hosts(path: Path, number: int, text: str) -> list[str]:
    key, _, names = text.partition("=")
    if key != "hosts" or not names:
        raise _wrong(path, number, "a story is `hosts=NAME,NAME`")
    return names.split(",")


def _mark(marks: _Marks, path: Path, number: int, kind: str, text: str) -> None:
    marks.lines.append(number)
    if kind == "keyboard":
        marks.keyboard = True
    elif kind == "exits":
        if not text.isdigit():
            raise _wrong(path, number, f"`{text}` is no exit code")
        marks.exits = int(text)
    else:
        if text not in NOT_RUN:
            raise _wrong(path, number, f"`{text}` is not in NOT_RUN of book/blocks.py")
        marks.not_run = text


def _in_list(lines: list[tuple[int, str]], number: int) -> bool:
    """Whether the text before line `number` that is indented less is an item of a list."""
    for _, line in reversed(lines[: number - 1]):
        if line.strip() and not line.startswith("    "):
            return bool(re.match(r" *([-*]|\d+\.) ", line)) or line.startswith("  ")
    return False


def _wrong(path: Path, number: int, text: str) -> PageError:
    return PageError(f"{path}:{number}: {text}")
