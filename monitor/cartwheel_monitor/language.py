"""The language of what people read: English, or that of a catalogue of gettext.

Texts are marked where they are made (`_`, `_n`, `later`). The language is chosen for a thread, or
for a request of the page: `use`, `within`. A catalogue is
`locale/LANGUAGE/LC_MESSAGES/cartwheel_monitor.mo` beside this file; `script/docs` makes it from the
.po there.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

DOMAIN = "cartwheel_monitor"
LANGUAGES = {"en": "English", "zh": "中文"}
"""Those that people can choose, by their names in themselves."""
_FOLDER = Path(__file__).parent / "locale"
_chosen: ContextVar[str] = ContextVar("language", default="en")


def use(language: str) -> None:
    """Choose one of LANGUAGES for what follows here."""
    _chosen.set(_known(language))


@contextmanager
def within(language: str) -> Iterator[None]:
    """Choose one of LANGUAGES for what is done in here."""
    before = _chosen.set(_known(language))
    try:
        yield
    finally:
        _chosen.reset(before)


def _known(language: str) -> str:
    return language if language in LANGUAGES else "en"


def chosen() -> str:
    return _chosen.get()


def _(text: str) -> str:
    return _catalogue(_chosen.get()).gettext(text) if text else text


def _n(one: str, many: str, count: int) -> str:
    """The text for this number of things; `{count}` stands for it."""
    return _catalogue(_chosen.get()).ngettext(one, many, count).format(count=count)


class _Later(str):
    """A text in English that knows its message."""

    message: str
    values: dict[str, object]


def later(message: str, **values: object) -> str:
    """The text in English; `said` says it in the language chosen then. For what is not made for
    one project alone: several may see it, each in its language."""
    text = _Later(message.format(**values))
    text.message, text.values = message, values
    return text


def said(text: str) -> str:
    """What `later` has made, in the language chosen here; any other text as it is."""
    return _(text.message).format(**text.values) if isinstance(text, _Later) else text


def listed(texts: Iterable[str]) -> str:
    """`web1, web2`"""
    return _(", ").join(texts)


def labelled(name: str, text: str) -> str:
    """`web1: no answer`"""
    return _("{name}: {text}").format(name=name, text=text)


@lru_cache(maxsize=None)
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, _FOLDER, [language], fallback=True)
