"""Which English page a Chinese page was translated from, and whether that has changed since.

The first line of each Chinese page is `<!-- source: docs/NAME.md DIGEST -->`: the first 16
hexadecimal digits of the SHA-256 of the English page. `python -m book.digests docs/zh/NAME.md ...`
writes it, once somebody has looked at both pages.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
DOCS = REPO / "docs"
CHINESE = DOCS / "zh"
_LINE = re.compile(r"\A<!-- source: (\S+) ([0-9a-f]{16}) -->\n")


def english_pages() -> list[Path]:
    """All English pages of the book, and the README."""
    pages = [path for path in DOCS.rglob("*.md") if not path.is_relative_to(CHINESE)]
    return [*sorted(pages), REPO / "README.md"]


def chinese_of(page: Path) -> Path:
    """Where the Chinese of an English page belongs."""
    if page == REPO / "README.md":
        return REPO / "README.zh.md"
    return CHINESE / page.relative_to(DOCS)


def english_of(page: Path) -> Path:
    """The English page of a Chinese one."""
    if page == REPO / "README.zh.md":
        return REPO / "README.md"
    return DOCS / page.relative_to(CHINESE)


def digest_line(page: Path) -> str:
    """The first line of a page that was translated from this English page as it is now."""
    digest = hashlib.sha256(page.read_bytes()).hexdigest()[:16]
    return f"<!-- source: {page.relative_to(REPO)} {digest} -->\n"


def behind() -> Iterator[str]:
    """Each English page without a current Chinese one, and why."""
    for page in english_pages():
        chinese = chinese_of(page)
        name = chinese.relative_to(REPO)
        if not chinese.is_file():
            yield f"{name}: missing"
        elif not chinese.read_text().startswith(digest_line(page)):
            yield f"{name}: {page.relative_to(REPO)} has changed since it was translated"


def without_english() -> list[str]:
    """Chinese pages whose English page is gone."""
    pages = sorted(CHINESE.rglob("*.md"))
    return [str(page.relative_to(REPO)) for page in pages if not english_of(page).is_file()]


def stamp(page: Path) -> None:
    """Write the digest line of a Chinese page anew."""
    text = _LINE.sub("", page.read_text())
    page.write_text(digest_line(english_of(page)) + text)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        stamp(Path(argument).resolve())
