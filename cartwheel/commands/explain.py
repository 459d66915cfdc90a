"""Finds what the book says of an error or a question: nothing here connects or reads settings."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cartwheel.errors import CATALOGUE, UsageError
from cartwheel.places import own

MOST_FOUND = 3

_ERRORS = "errors.md"
_QUESTIONS = "faq"
_NEAREST = 3
_NUMBER = re.compile(r"(?:.*\b)?CW *(\d+)\b.*|(\d{3})", re.IGNORECASE | re.DOTALL)
_HEADING = re.compile(r"(#+) (.*)")
_ANCHOR = re.compile(r'^<a id="[^"]*"></a>$')
_TEST = re.compile(r"^- (?:Test: |测试：)")
_WORD = re.compile(r"[a-z0-9_]+|[\u3400-\u9fff]+")
_END = re.compile(r"(?<=\w{3})(?:ing|ed|es|e|s)$")
# Words that say nothing about what is asked.
_COMMON = frozenset(
    (
        *("a", "an", "and", "are", "at", "be", "but", "by", "can", "do", "does", "for", "from"),
        *("get", "has", "have", "how", "i", "in", "is", "it", "its", "my", "of", "on", "or"),
        *("that", "the", "this", "to", "was", "what", "when", "where", "which", "why", "with"),
        *("you", "your", "的", "了", "是", "怎么", "么办", "为什", "什么"),
    )
)
# A section is the one that was meant if its heading has half of the words by weight, heading and
# text have nearly all, and the next one has clearly less.
_IN_HEADING, _IN_ALL, _AHEAD = 0.5, 0.8, 1.15
_OF_TEXT = 0.25  # a word below a heading counts so much of one in it
_OTHER = 0.01  # and this is taken off for each other word of a heading


@dataclass(frozen=True)
class Section:
    """A part of a page, in Markdown. `page` is the page's path in the book."""

    page: str
    heading: str
    text: str


@dataclass(frozen=True)
class Found:
    """The sections that fit best, the best first. `is_clear`: the first one is what was meant."""

    sections: Sequence[Section]
    is_clear: bool


def explained(words: str, *, zh: bool) -> Section | None:
    """The entry of the error that the words name by its number or slug; None: they name none.
    Raises UsageError if there is no such number."""
    number = _number(words.strip())
    if number is None:
        return None
    for one in _sections(_book(zh) / _ERRORS, _book(zh)):
        if one.heading.startswith(f"CW{number}:"):
            lines = one.text.splitlines()
            return Section(
                one.page, one.heading, "\n".join(line for line in lines if not _TEST.match(line))
            )
    raise UsageError(
        "usage", f"There is no error CW{number}", hint=f"The nearest: {_near(number)}."
    )


def searched(words: str, *, zh: bool) -> Found:
    """The questions and errors whose headings fit these words best. Raises UsageError if none has
    any of them."""
    sections = [one for path in _pages(_book(zh)) for one in _sections(path, _book(zh))]
    found = _best(words, [one for one in sections if one.text.strip()])
    if not found.sections:
        raise UsageError(
            "usage",
            f"No question and no error has these words: {words}",
            hint="Try other words, or the line of an error that ends in its number, in quotes.",
        )
    return found


def questions_with(number: str, *, zh: bool) -> list[Section]:
    """The questions that have this number in their heading: 502 is a status of HTTP too."""
    found = [one for path in _pages(_book(zh)) for one in _sections(path, _book(zh))]
    return [
        one
        for one in found
        if number in _WORD.findall(one.heading.lower()) and not one.page.endswith(_ERRORS)
    ]


def first_words(section: Section) -> str:
    """What to type to see this section."""
    number = re.match(r"CW\d+", section.heading)
    return number[0] if number else '"' + re.sub(r'["`$\\!]', "", section.heading) + '"'


def _book(zh: bool) -> Path:
    return own("docs") / "zh" if zh else own("docs")


def _pages(book: Path) -> list[Path]:
    """Those with answers; the index only lists the questions."""
    questions = sorted((book / _QUESTIONS).glob("*.md"))
    return [*(one for one in questions if one.name != "index.md"), book / _ERRORS]


def _number(words: str) -> int | None:
    if words.lower() in CATALOGUE:
        return CATALOGUE[words.lower()].number
    named = _NUMBER.fullmatch(words)
    return int(named[1] or named[2]) if named else None


def _near(number: int) -> str:
    known = sorted(problem.number for problem in CATALOGUE.values())
    nearest = sorted(known, key=lambda one: abs(one - number))[:_NEAREST]
    return ", ".join(f"CW{one}" for one in sorted(nearest))


def _sections(path: Path, book: Path) -> Iterator[Section]:
    """The parts of a page below its title, each with what stands below its heading."""
    heading, lines, fenced = "", list[str](), False
    for line in path.read_text(encoding="utf-8").splitlines():
        fenced ^= line.lstrip().startswith("```")
        found = None if fenced else _HEADING.match(line)
        if found is None:
            if fenced or not _ANCHOR.match(line):
                lines.append(line)
            continue
        if heading:
            yield Section(str(path.relative_to(book.parent)), heading, "\n".join(lines).strip())
        heading, lines = found[2] if len(found[1]) > 1 else "", []
    if heading:
        yield Section(str(path.relative_to(book.parent)), heading, "\n".join(lines).strip())


def _best(words: str, sections: Sequence[Section]) -> Found:
    wanted = set(_terms(words))
    heads = [set(_terms(one.heading)) for one in sections]
    texts = [set(_terms(one.text)) for one in sections]
    count = Counter(term for head in heads for term in head)
    weights = {term: math.log(1 + len(sections) / (1 + count[term])) for term in wanted}

    def weight(terms: Iterable[str]) -> float:
        return sum(weights[term] for term in terms)

    scored = []
    for section, head, text in zip(sections, heads, texts, strict=True):
        score = weight(wanted & head) + _OF_TEXT * weight((wanted & text) - head)
        # Of two headings with these words, the one with fewer others.
        scored.append((score - _OTHER * len(head - wanted), section, head, text))
    scored.sort(key=lambda one: -one[0])
    found = [one for one in scored if wanted & one[2]] or [one for one in scored if one[0] > 0]
    if not found:
        return Found((), is_clear=False)
    first, _section, head, text = found[0]
    second = found[1][0] if len(found) > 1 else 0.0
    whole = weight(wanted)
    has = weight(wanted & head) >= _IN_HEADING * whole
    has &= weight(wanted & (head | text)) >= _IN_ALL * whole
    clear = has and (head == wanted or first >= _AHEAD * second)
    return Found([one[1] for one in found[:MOST_FOUND]], is_clear=clear)


def _terms(text: str) -> Iterator[str]:
    """Words without their endings; of Chinese, each two characters that follow each other."""
    for word in _WORD.findall(text.lower()):
        if word[0] > "\u3000":
            pairs = [word[at : at + 2] for at in range(max(1, len(word) - 1))]
            yield from (pair for pair in pairs if pair not in _COMMON)
        elif word not in _COMMON:
            yield _END.sub("", word)
