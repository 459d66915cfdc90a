"""The monitor in Chinese: all texts for people are marked, and all of them are translated."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Message
from jinja2 import Environment, nodes

from book import monitor_catalogue as catalogue
from book.monitor_catalogue import MONITOR
from cartwheel.build import kinds
from cartwheel.build.source import source_files
from cartwheel.project import monitor_app

KNOWN = [one for one in catalogue.known() if one.id]
CHINESE = "[\u3400-\u9fff]"
FULL_WIDTH = "\uff0c\u3002\uff1a\uff1b\uff08\uff09\u3001\u201c\u201d\uff1f\uff01"
IN_CHINESE = r"(?:span|when|ago|kind|hosts)\}"
"""Placeholders of which Chinese comes."""
# What engineers in China write so too.
SAME = {"5xx", "Cartwheel", "Python", "p50", "p95", "{number}/s", "{what}"}
LATIN = SAME | {
    *("Apprise", "CPU", "MiB", "P", "inode", "monitor", "s", "systemd", "http", "https", "Web"),
}
CODE = re.compile(r"`[^`]*`|\{[^}]*\}|https?://|\[\w+\]")
"""What stays as it is in a translation: commands, placeholders, and the like."""

TEMPLATES = sorted((MONITOR / "page" / "templates").glob("*.html"))
READ = {"aria-label", "title", "placeholder", "alt"}
NO_TEXT = {"code", "pre", "script", "style"}
NAMES = {"Cartwheel"}
# Classes and attributes that a condition adds.
ATTRIBUTES = re.compile(r"(\s[a-z-]+(=\"[^\"]*\")?)+")
SENTENCE = re.compile(r"[A-Za-z]{2,},? [a-z]{2,}|^[A-Z][a-z]+$|^[A-Z][a-z]+ ")

SOURCES = [
    *(MONITOR / "page" / "views").glob("*.py"),
    *(MONITOR / "rules").glob("*.py"),
    *(MONITOR / "page").glob("*.py"),
    *(MONITOR / f"{name}.py" for name in (
        *("messages", "run_kinds", "probe", "sessions", "watcher", "store", "heartbeat"),
        *("messengers", "desk", "telling"),
    )),
]  # fmt: skip
FOR_PROGRAMS = {"page/metrics.py", "page/views/metrics.py"}
# Names, what hosts write, and what a program reads.
NO_TEXTS = {
    *("its list ", "dict[str, Json]", "given up", "the watcher is late\n", "cut off after {}"),
    *("its session ended before", "connection to the operator was lost"),
}
MARKS = {"_", "_n", "later"}
SQL = re.compile(r"^\s*(SELECT|INSERT|UPDATE|DELETE|PRAGMA|CREATE|BEGIN|COMMIT|ATTACH)\b")


def of(one: Message) -> tuple[str, ...]:
    """Its English forms."""
    return (one.id,) if isinstance(one.id, str) else tuple(one.id)


def chinese(one: Message) -> str:
    return catalogue.first(one.string)


def placeholders(text: str) -> set[tuple[str, str | None]]:
    """Each with its format."""
    parts = Formatter().parse(text)
    return {(name, form) for _text, name, form, _how in parts if name is not None}


def name_of(one: Message) -> str:
    return catalogue.first(one.id)


def test_the_catalogue_has_the_messages_of_the_sources() -> None:
    wanted = {one.words for one in catalogue.wanted()}
    assert wanted ^ {one.id for one in KNOWN} == set(), "run script/docs, then translate"


def test_every_message_is_translated() -> None:
    assert [name_of(one) for one in KNOWN if not chinese(one) or one.fuzzy] == []


def test_the_placeholders_are_the_same() -> None:
    wrong = [
        name_of(one)
        for one in KNOWN
        if placeholders(chinese(one)) != set().union(*map(placeholders, of(one)))
    ]
    assert wrong == []


def test_nothing_is_left_in_english() -> None:
    wrong = [
        (name_of(one), word)
        for one in KNOWN
        if name_of(one) not in SAME
        for word in re.findall(r"\w*[A-Za-z]\w*", CODE.sub("", chinese(one)), re.ASCII)
        if word not in LATIN
    ]
    assert wrong == []
    same = {name_of(one) for one in KNOWN if chinese(one) in of(one)}
    assert same <= SAME


def test_it_is_set_as_in_china() -> None:
    """Full-width marks in Chinese, and a space between Chinese and what is Latin."""
    narrow = re.compile(rf"{CHINESE}[,;:?!()]|[,;:?!()]{CHINESE}|\.$|{CHINESE}\.")
    tight = re.compile(rf"{CHINESE}[A-Za-z0-9`]|[A-Za-z0-9`%]{CHINESE}")
    tight_name = re.compile(rf"{CHINESE}\{{(?!{IN_CHINESE})|\{{(?!{IN_CHINESE})[^}}]*\}}{CHINESE}")
    loose = re.compile(rf"[{FULL_WIDTH}] | [{FULL_WIDTH}]|{CHINESE} {CHINESE}|  ")
    wrong = [
        (name_of(one), found.group())
        for one in KNOWN
        for pattern in (narrow, tight, tight_name, loose)
        for found in [pattern.search(chinese(one))]
        if found
    ]
    assert wrong == []
    assert [name_of(one) for one in KNOWN if "\u60a8" in chinese(one)] == []


def test_no_message_has_html() -> None:
    texts = [text for one in KNOWN for text in (*of(one), chinese(one))]
    assert [text for text in texts if re.search(r"<|>|&\w+;", text)] == []


def test_the_compiled_catalogue_is_that_of_the_source() -> None:
    assert catalogue.COMPILED.read_bytes() == catalogue.compiled(catalogue.SOURCE.read_bytes())
    with catalogue.COMPILED.open("rb") as file:
        used = gettext.GNUTranslations(file)
    assert [one for one in KNOWN if used.gettext(name_of(one)) != chinese(one)] == []


def test_it_travels_to_the_host_of_the_monitor(tmp_path: Path) -> None:
    found = dict(source_files(monitor_app.sources(tmp_path)))
    name = str(catalogue.COMPILED.relative_to(MONITOR.parent))
    assert found[name].read_bytes() == catalogue.COMPILED.read_bytes()
    assert (kinds.by_name(name), kinds.by_content(found[name], name)) == (None, None)


# Texts that are not marked


class _Texts(HTMLParser):
    """What a person reads of a template: text, and some attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        self.found += [value for name, value in attrs if name in READ and value]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not NO_TEXT & set(self._open):
            self.found.append(data.strip())


def unmarked(template: str) -> list[str]:
    parser = _Texts()
    plain = re.sub(r"\{% block main_attributes %\}.*?\{% endblock %\}", "", template)
    parser.feed(re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", plain, flags=re.DOTALL))
    parser.close()
    tree = Environment(autoescape=True).parse(template)
    return [
        text for text in parser.found if re.search("[A-Za-z]", text) and text not in NAMES
    ] + list(_constants(tree))


def _constants(node: nodes.Node) -> Iterator[str]:
    """Texts in expressions that look like words for people."""
    called = node.node if isinstance(node, nodes.Call) else None
    if isinstance(called, nodes.Name) and called.name in MARKS:
        return
    text = node.value if isinstance(node, nodes.Const) and isinstance(node.value, str) else ""
    if SENTENCE.search(text) and not ATTRIBUTES.fullmatch(text):
        yield text
    for child in node.iter_child_nodes():
        yield from _constants(child)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_text_of_a_template_is_marked(path: Path) -> None:
    assert unmarked(path.read_text()) == []


@pytest.mark.parametrize(
    "template",
    [
        "<h1>Fleet</h1>",
        '<p title="all of it">{{ x }}</p>',
        '<p>{{ "not known" if x else _("known") }}</p>',
        "<p>{{ name }} of {{ all }}</p>",
    ],
)
def test_a_text_that_is_not_marked_is_seen(template: str) -> None:
    assert len(unmarked(template)) == 1


def _sentences(tree: ast.AST) -> Iterator[str]:
    """Texts for people in Python outside of marks; not docstrings, SQL, or what is raised."""
    skipped = _skipped(tree)
    pending = [tree]
    while pending:
        node = pending.pop()
        if node in skipped:
            continue
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MARKS:
            continue
        text = _text(node)
        if text is None:
            pending += ast.iter_child_nodes(node)
        elif re.search(r"[A-Za-z]{2,},? [A-Za-z]{2,}", text) and not SQL.match(text):
            yield text


def _skipped(tree: ast.AST) -> set[ast.AST]:
    alone = {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and _text(node.value)
    }
    raised = {node for node in ast.walk(tree) if isinstance(node, ast.Raise)}
    return {*alone, *raised}


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [one.value if isinstance(one, ast.Constant) else "{}" for one in node.values]
        return "".join(map(str, parts))
    return None


def test_every_sentence_of_the_sources_is_marked() -> None:
    found = {
        (str(path.relative_to(MONITOR)), text)
        for path in SOURCES
        if str(path.relative_to(MONITOR)) not in FOR_PROGRAMS
        for text in _sentences(ast.parse(path.read_text()))
    }
    assert {one for one in found if one[1] not in NO_TEXTS} == set()
