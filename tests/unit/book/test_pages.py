"""Each page of the book, in both languages, without running it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from book import checks, digests
from book.blocks import NOT_RUN, Block, Page, read
from tests.kit.project import CHECKOUT

ENGLISH = digests.english_pages()
CHINESE = [*sorted(digests.CHINESE.rglob("*.md")), CHECKOUT / "README.zh.md"]
NAMES = {path: str(path.relative_to(CHECKOUT)) for path in (*ENGLISH, *CHINESE)}
every = pytest.mark.parametrize("path", [*ENGLISH, *CHINESE], ids=NAMES.__getitem__)
_COMMENT = re.compile(r"\s*#.*")


@every
def test_its_blocks_are_what_they_say(path: Path) -> None:
    assert list(checks.wrong_blocks(read(path))) == []


@every
def test_it_names_settings_and_tasks_that_exist(path: Path) -> None:
    text = path.read_text()
    assert list(checks.unknown_settings(text)) == []
    assert list(checks.unknown_tasks(text)) == []


@pytest.mark.parametrize("path", CHINESE, ids=NAMES.__getitem__)
def test_a_chinese_page_has_the_blocks_of_the_english(path: Path) -> None:
    assert _run(read(path)) == _run(read(digests.english_of(path)))


def _run(page: Page) -> tuple[tuple[str, ...], list[object]]:
    """What is run; comments are for people, and may be translated."""
    return page.hosts, [
        _same(part) if isinstance(part, Block) else part.command for part in page.parts
    ]


def _same(block: Block) -> tuple[object, ...]:
    lines = [_COMMENT.sub("", line) for line in block.text.splitlines()]
    return block.language, block.title, block.keyboard, block.exits, block.not_run, lines


def test_no_english_page_is_without_its_chinese_and_none_is_behind() -> None:
    assert list(digests.behind()) == []
    assert digests.without_english() == []


def test_few_blocks_are_not_run() -> None:
    """They are other programs', and counted by reason."""
    counted = dict.fromkeys(NOT_RUN, 0)
    for path in ENGLISH:
        for block in read(path).blocks:
            if block.not_run:
                counted[block.not_run] += 1
    assert counted == {
        "supervisor": 2,
        "capistrano": 3,
        "fujin": 1,
        "ansible": 2,
        "baota": 1,
        "github": 1,
        "gitlab": 1,
        "by-hand": 2,
        "real-server": 6,
        "measured": 4,
        "a-file-of-yours": 9,
        "form": 6,
    }
