"""`fab explain`: an error by its number, its slug or its line; questions by words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cartwheel.commands import explain
from cartwheel.commands.explain import explained, first_words, questions_with, searched
from cartwheel.errors import CATALOGUE, UsageError
from cartwheel.places import own
from cartwheel.terminal.format import cells
from cartwheel.terminal.plain import folded, inline, plain
from tests.kit.project import Project

WEB = """\
# The web

Not a question.

## `502 Bad Gateway` right after a deploy

The new process does not listen yet.

```console
$ fab logs
## no heading
```

## `connect() to unix:/run/shop.sock failed (111: Connection refused)`

Nothing listens on the **socket**, see [logs](../logs.md).

## `connect() failed (13: Permission denied)`

nginx may not open the socket.
"""
HTTPS = """\
# HTTPS
## A browser still gets the old certificate
It is loaded at a reload.
## A group of questions
"""
CHINESE = """\
<!-- source: docs/faq/web.md 0123456789abcdef -->
# Web
<a id="a-502"></a>
## 发布之后立刻出现 502
新进程还没有监听。
## 静态文件 404
"""


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small book instead of the real one."""
    docs = tmp_path / "docs"
    for name, text in {
        "faq/web.md": WEB,
        "faq/https.md": HTTPS,
        "faq/index.md": "# Questions\n## connection refused socket\nAll.\n",
        "errors.md": "# Errors\n### CW501: The host's disk is full\nFree some.\n",
        "zh/faq/web.md": CHINESE,
        "zh/errors.md": "# 错误\n### CW501: 主机磁盘已满\n腾出空间。\n",
    }.items():
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text(text)
    monkeypatch.setattr(explain, "own", lambda name: tmp_path / name)
    return docs


# The real program, in an empty folder


def test_a_number_needs_no_settings_and_no_host(empty: Project) -> None:
    done = empty.cartwheel("explain", "CW401")
    assert done.out.startswith("CW401: The host is not set up\n\n`not-set-up`, exit code 1\n\n")
    assert "- Remedy: `cartwheel setup -H HOST` prepares it." in done.out
    assert "Test: " not in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert list(empty.folder.iterdir()) == []


def test_in_chinese(empty: Project) -> None:
    out = empty.cartwheel("explain", "cw602", "--zh").out
    assert out.startswith("CW602: 新版本没有通过健康检查\n\n`unhealthy`，退出码 1\n")
    assert "- 解决：" in out
    assert "测试" not in out


def test_for_programs(empty: Project) -> None:
    result = json.loads(empty.cartwheel("explain", "602", "--json").out)
    assert result["heading"] == "CW602: The new release failed its health check"
    assert result["page"] == "docs/errors.md"


def test_an_unknown_number_names_the_nearest(empty: Project) -> None:
    done = empty.cartwheel("explain", "CW699", code=2)
    assert done.err == (
        "error: There is no error CW699 [CW101]\n  next:   The nearest: CW701, CW702, CW703.\n"
    )


def test_empty_words_say_how_to_use_it(empty: Project) -> None:
    assert "`cartwheel explain CW602`" in empty.cartwheel("explain", " ", code=2).err


def test_words_that_nobody_asks(empty: Project) -> None:
    assert (
        "No question and no error has these words: xyzzy"
        in empty.cartwheel("explain", "xyzzy", code=2).err
    )


# Errors


@pytest.mark.parametrize("zh", [False, True], ids=["en", "zh"])
def test_every_number_and_slug_is_explained(zh: bool) -> None:
    for slug, problem in CATALOGUE.items():
        entry = explained(f"CW{problem.number}", zh=zh)
        assert entry is not None
        assert entry.heading.startswith(f"CW{problem.number}: ")
        assert f"`{slug}`" in entry.text
        assert explained(slug, zh=zh) == entry
        if not zh:
            assert entry.heading.endswith(problem.title)
        text = plain(entry.text, 80)
        assert "**" not in text
        assert "](" not in text
        assert "<" not in text.replace("<3", "")


@pytest.mark.parametrize(
    "words",
    [
        "CW602",
        "cw602",
        "602",
        " CW 602 ",
        "unhealthy",
        "Unhealthy",
        "error: web1: not healthy after 30 s: /healthz answered 500 instead of 200 [CW602]",
        "x [CW602]\n  next:   See its log above; 200",
    ],
)
def test_ways_to_name_an_error(words: str) -> None:
    entry = explained(words, zh=False)
    assert entry is not None
    assert entry.heading.startswith("CW602:")


@pytest.mark.parametrize("words", ["502 bad gateway", "health", "cwd", "1.0.0", ""])
def test_what_names_no_error(words: str) -> None:
    assert explained(words, zh=False) is None


# Questions


def test_words_find_the_question_that_clearly_fits(book: Path) -> None:
    found = searched("connection refused socket", zh=False)
    assert found.sections[0].heading.startswith("`connect() to unix:")
    assert found.sections[0].page == "docs/faq/web.md"
    assert found.is_clear
    text = plain(found.sections[0].text, 80)
    assert text == "Nothing listens on the socket, see logs."


def test_three_at_most_and_none_clear(book: Path) -> None:
    found = searched("connect failed", zh=False)
    assert [one.heading[:10] for one in found.sections] == ["`connect()", "`connect()"]
    assert not found.is_clear
    assert len(searched("a deploy certificate disk connect permission", zh=False).sections) == 3


def test_a_whole_heading_is_clear(book: Path) -> None:
    for heading in ("connect() failed (13: Permission denied)", "certificates old browsers"):
        assert searched(heading, zh=False).is_clear


def test_errors_are_found_by_words_too(book: Path) -> None:
    found = searched("disk full", zh=False)
    assert found.is_clear
    assert first_words(found.sections[0]) == "CW501"


def test_chinese_words(book: Path) -> None:
    found = searched("磁盘满了", zh=True)
    assert [one.heading for one in found.sections] == ["CW501: 主机磁盘已满"]
    assert searched("发布后 502", zh=True).sections[0].page == "zh/faq/web.md"


def test_a_number_may_be_a_status_of_http(book: Path) -> None:
    assert [one.heading for one in questions_with("502", zh=True)] == ["发布之后立刻出现 502"]
    assert questions_with("501", zh=False) == []


def test_a_heading_without_text_is_no_answer(book: Path) -> None:
    with pytest.raises(UsageError):
        searched("group of questions", zh=False)


def test_what_to_type_for_a_question(book: Path) -> None:
    found = searched("bad gateway", zh=False)
    assert first_words(found.sections[0]) == '"502 Bad Gateway right after a deploy"'


def test_the_real_questions_can_be_read() -> None:
    for zh in (False, True):
        assert searched("sudo", zh=zh).sections
    assert (own("docs") / "errors.md").is_file()


# Plain text


def test_marks_go_and_code_stays() -> None:
    assert inline("**All** of [it](x.md#y) in `a **b**` and `` a `b` ``") == (
        "All of it in `a **b**` and a `b`"
    )


def test_lists_tables_and_blocks() -> None:
    text = plain(
        "One\ntwo.\n\n- a\n  b\n- c\n\n| key | meaning |\n| --- | --- |\n| `x` | y |\n\n"
        '<!-- exits 2 -->\n```console\n$ fab x\n\n  y\n```\n<a id="z"></a>\n### Z\nEnd.',
        80,
    )
    assert text == (
        "One two.\n\n- a b\n- c\n\nkey  meaning\n`x`  y\n\n    $ fab x\n\n      y\n\nZ\nEnd."
    )


def test_lines_are_folded_where_chinese_may_break() -> None:
    text = "发布之后，主机会回滚到 1.0.0 版本。" * 6
    lines = folded(text, 40, "- ")
    assert all(cells(line) <= 42 for line in lines)
    assert all(line[:2] in ("- ", "  ") for line in lines)
    assert not any(line[2] in "，。" for line in lines)
    assert folded("x" * 50, 20) == ["x" * 50]


def test_short_code_stays_on_its_line() -> None:
    assert folded("Then run (`fab status -H a`), please.", 16) == [
        "Then run",
        "(`fab status -H a`),",
        "please.",
    ]
