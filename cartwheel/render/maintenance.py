"""The page of a closed site, in every language, and what the site includes while it is closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.settings import names

from .release import PAGE, PAGES, SAMPLES, page_values, values_of
from .templates import Templates

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Settings


@dataclass(frozen=True)
class ClosedSite:
    """Texts by file name: `pages` for visitors, and what is `included` in the site."""

    pages: dict[str, str]
    included: dict[str, str]


def render_closed(
    settings: Settings, message: str, minutes: int, allow: Sequence[str], project: Path
) -> ClosedSite:
    """`minutes` until visitors should try again, 0 for the usual time. Raises
    UsageError("template")."""
    templates = Templates(project)
    values = values_of(settings, SAMPLES[0])  # no host differs in what a page says
    said = page_values(message, is_announced=True)
    pages = {
        name: templates.render(PAGE, {**values, **said, "lang": lang})
        for lang, name in PAGES.items()
    }
    asked = {"minutes": minutes, "allow": tuple(allow)}
    texts = {
        name: templates.render(template, {**values, **asked})
        for name, template in names.web_server(settings).maintenance_templates.items()
    }
    return ClosedSite(pages, {name: text for name, text in texts.items() if text.strip()})
