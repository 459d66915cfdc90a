"""The generated pages in both languages: every text is translated, and set as in China."""

from __future__ import annotations

import re
from string import Formatter

import pytest
from babel.messages.catalog import Message

from book import generated, tasks_page, translations
from book.digests import CHINESE, DOCS, digest_line
from book.monitor_catalogue import first
from book.voice import Voice, linked
from cartwheel.errors import CATALOGUE

KNOWN = [one for one in translations.known() if one.id]
IDS = [first(one.id) for one in KNOWN]
HAN = "[\u3400-\u9fff]"
FULL_WIDTH = "\uff0c\u3002\uff1a\uff1b\uff08\uff09\u3001\u201c\u201d\uff1f\uff01"
CODE = re.compile(r"`+[^`]+`+")
PAGE = re.compile(r"\b[\w/-]+\.md\b")
SAME = {"URL"}  # what engineers in China write so too


def of(one: Message) -> str:
    return first(one.string)


def marks(text: str) -> set[str]:
    """What stays as it is: code, placeholders, options, links."""
    names = {f"{{{name}}}" for _, name, _, _ in Formatter().parse(CODE.sub("", text)) if name}
    links = set(re.findall(r"\]\([^)]+\)", text))
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    tables = set(re.findall(r"(?<!\w)\[[a-z][\w.\"/]*\]", text))
    return {*CODE.findall(text), *names, *links, *options, *tables, *PAGE.findall(text)}


def test_the_catalogue_has_the_texts_of_the_pages() -> None:
    wanted = set(translations.wanted(generated.IN_BOTH))
    assert wanted ^ set(IDS) == set(), "run script/docs, then translate"


def test_every_text_is_translated() -> None:
    assert [first(one.id) for one in KNOWN if not of(one) or one.fuzzy] == []
    untouched = {first(one.id) for one in KNOWN if not re.search(HAN, of(one))}
    assert {one for one in untouched if re.search("[A-Za-z]", CODE.sub("", one))} == SAME


def test_code_and_placeholders_stay() -> None:
    assert [first(one.id) for one in KNOWN if marks(of(one)) != marks(first(one.id))] == []


def test_it_is_set_as_in_china() -> None:
    """Full-width marks in Chinese, and a space between Chinese and what is Latin."""
    narrow = re.compile(rf"{HAN}[,;:?!()]|[,;:?!()]{HAN}|{HAN}\.|\.$")
    tight = re.compile(rf"{HAN}[A-Za-z0-9`]|[A-Za-z0-9`%]{HAN}")
    loose = re.compile(rf"[{FULL_WIDTH}] | [{FULL_WIDTH}]|{HAN} {HAN}|  ")
    wrong = [
        (first(one.id), found.group())
        for one in KNOWN
        for pattern in (narrow, tight, loose)
        for found in [pattern.search(_without_links(of(one)))]
        if found
    ]
    assert wrong == []
    assert [first(one.id) for one in KNOWN if "\u60a8" in of(one)] == []


def _without_links(text: str) -> str:
    return re.sub(r"\]\([^)]*\)", "]", text)


def test_no_text_has_a_table_in_it() -> None:
    assert [text for text in IDS if re.search(r"[^`] \| [^`]|<a |\n", text)] == []


@pytest.mark.parametrize("name", generated.IN_BOTH)
def test_the_chinese_page_is_the_english_one(name: str) -> None:
    """The same headings, in the same order, with the anchors of the English ones."""
    english, chinese = ((top / name).read_text() for top in (DOCS, CHINESE))
    assert chinese.startswith(digest_line(DOCS / name))
    heads = [re.findall(r"^(#+) ", text, re.MULTILINE) for text in (english, chinese)]
    assert heads[0] == heads[1]
    anchors = [re.findall(r'<a id="([^"]+)"', text) for text in (english, chinese)]
    assert set(anchors[0]) <= set(anchors[1])
    assert len(anchors[1]) == len(set(anchors[1]))


def test_old_links_to_an_error_still_lead_there() -> None:
    for top in (DOCS, CHINESE):
        text = (top / "errors.md").read_text()
        for problem in CATALOGUE.values():
            assert f'<a id="cw{problem.number}"></a>\n### CW{problem.number}: ' in text


def test_every_task_is_on_the_page_once() -> None:
    listed = [name for names in tasks_page.SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(tasks_page.task_names())


def test_the_pages_that_explain_tasks_are_in_the_book() -> None:
    pages = (generated.REPO / "book/mkdocs.yml").read_text().split("\nnav:\n")[1]
    named = {page for names in tasks_page.SECTIONS.values() for page in names.values()}
    assert [page for page in named if f"- {page}\n" not in pages] == []


def test_english_is_folded_and_chinese_is_not() -> None:
    text = "word " * 30
    assert len(Voice("en", str).paragraph(text).splitlines()) == 2
    assert len(Voice("zh", str).paragraph(text).splitlines()) == 1


def test_a_heading_in_chinese_has_the_english_anchor() -> None:
    voice = Voice("zh", {"Exit codes": "退出码"}.__getitem__)
    assert voice.heading(2, "Exit codes") == '<a id="exit-codes"></a>\n## 退出码'


def test_names_of_pages_become_links() -> None:
    assert linked("x (docs/tls.md)", "../") == "x ([tls.md](../tls.md))"
    assert linked("[tls.md](docs/tls.md)") == "[tls.md](docs/tls.md)"
    assert linked("`docs/tls.md`") == "`docs/tls.md`"
