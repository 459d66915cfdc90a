"""The Chinese of all generated pages: book/zh.po. `script/docs` renews it: what is new has no
translation then, and what is stale goes."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from book.monitor_catalogue import StableCatalog, first
from book.voice import Voice

SOURCE = Path(__file__).with_name("zh.po")
Page = Callable[[Voice], str]

_LOCALE = "zh_CN"
_WIDTH = 100


def wanted(pages: dict[str, Page]) -> dict[str, list[str]]:
    """Every text of these pages, in their order, and the names of the pages that have it."""
    found: dict[str, list[str]] = {}
    for name, page in pages.items():

        def note(text: str, name: str = name) -> str:
            places = found.setdefault(text, [])
            if name not in places:
                places.append(name)
            return text

        page(Voice("recorded", note))
    return found


def known() -> Catalog:
    """The catalogue as it is."""
    with SOURCE.open("rb") as file:
        return read_po(file, locale=_LOCALE)


@cache
def _chinese() -> dict[str, str]:
    return {first(one.id): first(one.string) for one in known() if one.id and not one.fuzzy}


def chinese() -> Voice:
    """Texts without a translation stay English; a test finds them."""
    return Voice("zh", lambda text: _chinese().get(text) or text)


def source(pages: dict[str, Page]) -> bytes:
    """The .po as it should be: the texts of these pages, with the translations that it has."""
    before = known()
    after = StableCatalog("cartwheel", locale=_LOCALE, header_comment=before.header_comment)
    translated = {first(one.id): one for one in before}
    for text, places in wanted(pages).items():
        old = translated.get(text)
        made = after.add(
            text,
            first(old.string) if old else "",
            locations=[(place, 0) for place in places],
            flags=["fuzzy"] if old and old.fuzzy else [],
        )
        made.flags -= {"python-format", "python-brace-format"}  # these texts have none of it
    into = io.BytesIO()
    write_po(into, after, width=_WIDTH, include_lineno=False)
    return into.getvalue()
