"""The language of what people read: English, or that of a catalogue of gettext.

Texts are marked where they are made (`_`, `_n`). The language is chosen for a thread, or for a
request of the page: `use`. A catalogue is `locale/LANGUAGE/LC_MESSAGES/cartwheel_monitor.mo` beside
this file; `script/docs` makes it from the .po there.
"""

from __future__ import annotations

import gettext
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
    _chosen.set(language if language in LANGUAGES else "en")


def chosen() -> str:
    return _chosen.get()


def _(text: str) -> str:
    return _catalogue(_chosen.get()).gettext(text) if text else text


def _n(one: str, many: str, count: int) -> str:
    """The text for this number of things; `{count}` stands for it."""
    return _catalogue(_chosen.get()).ngettext(one, many, count).format(count=count)


@lru_cache(maxsize=None)
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, _FOLDER, [language], fallback=True)
