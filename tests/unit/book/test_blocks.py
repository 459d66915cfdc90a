"""How a page says what is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from book.blocks import Block, Hidden, PageError, read
from book.run import Command, commands


def page_of(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text)
    return path


def test_blocks_with_what_is_said_of_them(tmp_path: Path) -> None:
    page = read(
        page_of(
            tmp_path,
            "<!-- story: hosts=lab1,lab2 -->\n"
            "<!-- run before: use shop -->\n\n"
            '```toml title="cartwheel.toml"\n[app]\n```\n'
            "1. First\n\n"
            "   <!-- exits 3 -->\n   ```console\n   $ fab deploy\n     …\n   ```\n"
            "<!-- not run: supervisor -->\n```ini\n[program:x]\n```\n",
        )
    )
    assert page.hosts == ("lab1", "lab2")
    assert page.is_story
    assert page.parts == (
        Hidden(2, "use shop"),
        Block(4, "toml", "cartwheel.toml", "[app]\n"),
        Block(10, "console", "", "$ fab deploy\n  …\n", exits=3),
        Block(15, "ini", "", "[program:x]\n", not_run="supervisor"),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```\nx\n```\n", ":1: a block without its language"),
        ("```console\n$ x\n", ":1: this block has no end"),
        ("Text:\n\n    fab deploy\n", ":3: an indented block; fence it, with its language"),
        ("<!-- not run: laziness -->\n```sh\nx\n```\n", ":1: `laziness` is not in NOT_RUN"),
        ("<!-- exits x -->\n```sh\nx\n```\n", ":1: `x` is no exit code"),
        ("<!-- exits 3 -->\n\nText\n", ":1: no block follows"),
        ("<!-- keyboard -->\n", ":1: no block follows"),
        ("<!-- story: lab1 -->\n", ":1: a story is `hosts=NAME,NAME`"),
    ],
)
def test_what_cannot_be_understood_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(PageError) as refused:
        read(page_of(tmp_path, text))
    assert why in str(refused.value)


def test_a_list_is_no_indented_block(tmp_path: Path) -> None:
    text = "- One\n\n    goes on here\n\n1. Two\n\n    also\n"
    assert read(page_of(tmp_path, text)).parts == ()


def test_commands_of_a_block() -> None:
    text = "$ one \\\n  two\nout\n$ cat <<E\n> a\n> E\na\n$ three\n"
    assert list(commands(Block(1, "console", "", text))) == [
        Command("one \\\n  two", ["out"]),
        Command("cat <<E\na\nE", ["a"]),
        Command("three", []),
    ]
