"""The language of what people read: English, or that of a catalogue of gettext.

Texts are marked where they are made (`_`), so the language is chosen once, at the start. A
catalogue is `locale/LANGUAGE/LC_MESSAGES/cartwheel_monitor.mo` beside this file.
"""

from __future__ import annotations

import gettext
from pathlib import Path

DOMAIN = "cartwheel_monitor"
_FOLDER = Path(__file__).parent / "locale"
_chosen: gettext.NullTranslations = gettext.NullTranslations()


def use(language: str, folder: Path = _FOLDER) -> bool:
    """Choose a language; False, and English, where there is no catalogue of it."""
    global _chosen  # noqa: PLW0603 - one process tells in one language
    _chosen = gettext.translation(DOMAIN, folder, [language], fallback=True)
    return isinstance(_chosen, gettext.GNUTranslations)


def _(text: str) -> str:
    return _chosen.gettext(text)


def _n(one: str, many: str, count: int) -> str:
    """The text for this number of things; `{count}` stands for it."""
    return _chosen.ngettext(one, many, count).format(count=count)
