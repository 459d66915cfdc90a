"""Markdown as plain text for a terminal: without its marks, in lines of the right width."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cartwheel.terminal.format import cells, table_lines

_HIDDEN = re.compile(r'<!--.*?-->|<a id="[^"]*"></a>')
_CODE = re.compile(r"(`+)(.+?)\1")
_MARK = re.compile(r"\*\*(.+?)\*\*|!?\[([^\]]+)\]\([^)\s]+\)")
_ITEM = re.compile(r"( *)([-*]|\d+\.) (.*)")
# Spaces, short code, words, and single characters of Chinese: a line may end behind each.
_CJK = r"\u3000-\u9fff\uff00-\uffef"
_PIECE = re.compile(rf" |[^ `{_CJK}]*`[^`]{{1,40}}`[^ {_CJK}]*|[^ {_CJK}]+|.")
_CLOSING = frozenset("\uff0c\u3002\uff1a\uff1b\uff09\u3001\u201d\uff1f\uff01\u300b")
_INDENT = "    "


def plain(markdown: str, width: int) -> str:
    """The text of a part of a page."""
    lines = list(_lines(_HIDDEN.sub("", markdown).splitlines(), width))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n")


def _lines(source: list[str], width: int) -> Iterator[str]:
    rest = iter(source)
    paragraph: list[str] = []
    rows: list[str] = []
    for line in rest:
        if rows and not line.startswith("|"):
            yield from _table(rows, width)
            rows = []
        fence = line.lstrip().startswith("```")
        starts = _ITEM.match(line) or line.startswith(("#", "|")) or fence
        if paragraph and (starts or not line.strip()):
            yield from _paragraph(paragraph, width)
            paragraph = []
        if fence:
            yield from _block(rest)
        elif line.startswith("|"):
            rows.append(line)
        elif line.startswith("#"):
            yield inline(line.lstrip("# "))
        elif line.strip():
            paragraph.append(line)
        else:
            yield ""
    yield from _table(rows, width)
    yield from _paragraph(paragraph, width)


def _block(rest: Iterator[str]) -> Iterator[str]:
    for line in rest:
        if line.lstrip().startswith("```"):
            return
        yield _INDENT + line


def _table(rows: list[str], width: int) -> list[str]:
    if not rows:
        return []
    split = [row.strip("| ").split(" | ") for row in rows if not row.startswith("| ---")]
    count = max(map(len, split))
    whole = [[inline(cell) for cell in row] + [""] * (count - len(row)) for row in split]
    return table_lines(whole[1:], whole[0], width)


def _paragraph(lines: list[str], width: int) -> list[str]:
    """A paragraph, or an item of a list with its mark."""
    if not lines:
        return []
    text = " ".join(line.strip() for line in lines)
    item = _ITEM.match(lines[0])
    mark = f"{item[1]}{item[2]} " if item else ""
    return folded(inline(text.removeprefix(mark.lstrip())), width, mark)


def inline(text: str) -> str:
    """A line without marks. Code keeps its single backquotes, as in all messages of `fab`."""
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts.append(_unmarked(text[end : code.start()]))
        inner = code[2].strip() if len(code[1]) > 1 else code[0]
        parts.append(inner)
        end = code.end()
    return "".join([*parts, _unmarked(text[end:])])


def _unmarked(text: str) -> str:
    return _MARK.sub(lambda found: found[1] or found[2], text)


def folded(text: str, width: int, mark: str = "") -> list[str]:
    """The text in lines of at most this many columns; a longer word has a line of its own. The
    lines after the first are indented by the width of `mark`."""
    indent = " " * len(mark)
    lines, line = [], mark
    for piece in _PIECE.findall(text):
        full = cells(line) + cells(piece) > width and piece not in _CLOSING
        if full and line.strip() != mark.strip():
            lines.append(line.rstrip())
            line = indent
        if piece != " " or line.strip():
            line += piece
    return [*lines, line.rstrip()]
