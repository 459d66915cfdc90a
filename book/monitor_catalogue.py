"""The monitor's catalogue of messages: what must be translated, from the sources; and the compiled
form that gettext reads. `script/docs` writes both files: what is new has no translation then, and
what is stale goes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

MONITOR = Path(__file__).parents[1] / "monitor" / "cartwheel_monitor"
FOLDER = MONITOR / "locale" / "zh" / "LC_MESSAGES"
SOURCE, COMPILED = FOLDER / "cartwheel_monitor.po", FOLDER / "cartwheel_monitor.mo"
Words = str | tuple[str, ...]

_LOCALE = "zh_CN"
_KEYWORDS = {"_": (1,), "later": (1,), "_n": (1, 2)}
_METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
_WIDTH = 100


@dataclass(frozen=True)
class Text:
    """A message of the sources, with its plural, and the files where it stands."""

    words: Words
    where: tuple[str, ...]


def wanted() -> list[Text]:
    """Every message of the monitor's sources, sorted."""
    found: dict[str, tuple[Words, set[str]]] = {}
    for words, where in _found():
        one = words if isinstance(words, str) else words[0]
        kept, places = found.setdefault(one, (words, set()))
        # A message without a plural elsewhere is the same one.
        found[one] = (kept if isinstance(kept, tuple) else words, places | {where})
    return [Text(words, tuple(sorted(places))) for _one, (words, places) in sorted(found.items())]


def _found() -> Iterator[tuple[Words, str]]:
    found = extract_from_dir(str(MONITOR), method_map=_METHODS, keywords=_KEYWORDS, comment_tags=())
    for name, _line, words, *_more in found:
        if words:
            yield words, name


def known() -> Catalog:
    """The catalogue as it is."""
    with SOURCE.open("rb") as file:
        return read_po(file, locale=_LOCALE)


def source() -> bytes:
    """The .po as it should be: the messages of the sources, with the translations that it has."""
    before = known()
    after = StableCatalog("cartwheel_monitor", locale=_LOCALE, header_comment=before.header_comment)
    translated = {first(one.id): one for one in before}
    for each in wanted():
        old = translated.get(first(each.words))
        text = first(old.string) if old else ""
        made = after.add(
            each.words,
            text if isinstance(each.words, str) else (text,),  # Chinese has one form for any number
            locations=[(where, 0) for where in each.where],
            flags=["fuzzy"] if old and old.fuzzy else [],
        )
        made.flags.discard("python-format")  # a percent sign is one, and no placeholder
    into = io.BytesIO()
    write_po(into, after, width=_WIDTH, sort_output=True, include_lineno=False)
    return into.getvalue()


def compiled(text: bytes) -> bytes:
    """A .po as gettext reads it."""
    into, catalogue = io.BytesIO(), StableCatalog("cartwheel_monitor", locale=_LOCALE)
    for one in read_po(io.BytesIO(text), locale=_LOCALE):
        if one.id:
            catalogue.add(one.id, one.string)
    write_mo(into, catalogue)
    return into.getvalue()


def renewed() -> bytes:
    """The .mo as it should be."""
    return compiled(source())


def first(words: str | Sequence[str] | None) -> str:
    """Of a message with a plural, its singular."""
    return words if isinstance(words, str) else words[0] if words else ""


class StableCatalog(Catalog):
    """A catalogue of `program`. Its head says nothing that changes with each run, or that is of
    other people."""

    def __init__(self, program: str, *, locale: str, header_comment: str | None = None) -> None:
        self._program, self._language = program, locale
        super().__init__(locale=locale, fuzzy=False, header_comment=header_comment)

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Project-Id-Version", self._program),
            ("Language", self._language),
            ("Plural-Forms", self.plural_forms),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]

    @mime_headers.setter
    def mime_headers(self, _headers: object) -> None: ...
