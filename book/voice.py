"""The language of a generated page: English as the code has it, or Chinese from book/zh.po."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass

WIDTH = 100

_CODE = re.compile(r"`[^`]*`|\{\w+\}")
_LETTER = re.compile(r"[A-Za-z]")
_HEADING = re.compile(r"(#+) (.*)")
_ITEM = re.compile(r"([-*]|\d+\.) (.*)")
_COMMENT = re.compile(r"(  # )(.+)$")
_AS_IS = re.compile(r"<!--|<a |\{\w+\}$")


@dataclass(frozen=True)
class Voice:
    """`say` gives a text in this language. It gets each text as one line."""

    language: str
    say: Callable[[str], str]

    @property
    def is_english(self) -> bool:
        return self.language == "en"

    def listed(self, items: Iterable[str]) -> str:
        """Items of code, with the comma of this language."""
        return (", " if self.is_english else "\u3001").join(items)

    def heading(self, level: int, text: str) -> str:
        """A heading; in Chinese behind an anchor with the English one's name."""
        said = self.say(text)
        anchor = "" if said == text else f'<a id="{slug(text)}"></a>\n'
        return f"{anchor}{'#' * level} {said}"

    def paragraph(self, text: str, mark: str = "", docs: str = "") -> str:
        """A paragraph or an item of a list. Chinese stays on one line: a line break would become a
        space."""
        said = linked(self.say(" ".join(text.split())), docs)
        if not self.is_english:
            return mark + said
        return textwrap.fill(
            said,
            WIDTH,
            initial_indent=mark,
            subsequent_indent=" " * len(mark),
            break_long_words=False,
            break_on_hyphens=False,
        )

    def row(self, *cells: str) -> str:
        """A row of a table, of cells that are in this language."""
        return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"

    def head(self, *cells: str) -> list[str]:
        """The first two rows of a table."""
        names = [self.say(cell) if cell else "" for cell in cells]
        return [self.row(*names), self.row(*("---" for _ in cells))]

    def markdown(self, text: str) -> str:
        """A written page, or a part of one: headings, paragraphs, items, cells and the
        comments of settings are texts; other code stays as it is."""
        return "\n\n".join(self._block(one) for one in _blocks(text))

    def _block(self, lines: list[str]) -> str:
        first = lines[0]
        if first.startswith("```toml"):
            return "\n".join(_COMMENT.sub(lambda one: one[1] + self.say(one[2]), x) for x in lines)
        if first.startswith("```") or _AS_IS.match(first):
            return "\n".join(lines)
        if found := _HEADING.match(first):
            return self.heading(len(found[1]), found[2])
        if first.startswith("|"):
            return "\n".join(self._table_row(line) for line in lines)
        if _ITEM.match(first):
            return "\n".join(self._items(lines))
        return self.paragraph(" ".join(lines))

    def _items(self, lines: list[str]) -> list[str]:
        items: list[tuple[str, str]] = []
        for line in lines:
            if found := _ITEM.match(line):
                items.append((f"{found[1]} ", found[2]))
            else:
                mark, text = items[-1]
                items[-1] = (mark, f"{text} {line.strip()}")
        return [self.paragraph(text, mark) for mark, text in items]

    def _table_row(self, line: str) -> str:
        if not line.startswith("| ") or line.startswith("| ---"):
            return line
        cells = line.removeprefix("| ").removesuffix(" |").split(" | ")
        return self.row(*(self.say(cell) if _is_text(cell) else cell for cell in cells))


def _is_text(cell: str) -> bool:
    return _LETTER.search(_CODE.sub("", cell)) is not None


def _blocks(text: str) -> list[list[str]]:
    """The parts of a page that empty lines separate; a fenced block is one part."""
    blocks: list[list[str]] = [[]]
    fenced = False
    for line in text.strip("\n").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        if line.strip() or fenced:
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [one for one in blocks if one]


def slug(text: str) -> str:
    """The anchor of a heading or a name: `gunicorn.max_workers` is gunicorn-max-workers."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def linked(text: str, docs: str = "") -> str:
    """A text in which `docs/NAME.md` leads there; `docs` is the way to that folder."""
    return re.sub(r"(?<!\]\()(?<![\w`/\[])docs/([\w/-]+\.md)", rf"[\1]({docs}\1)", text)


ENGLISH = Voice("en", lambda text: text)
