"""All checks that need no host, for every application in every environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cartwheel.errors import UsageError
from cartwheel.render import check_templates
from cartwheel.render.overrides import stale_notes
from cartwheel.settings.loading import load_all
from cartwheel.settings.toml_tables import Settings


def check(project: Path) -> list[Settings]:
    """All settings of the project. Raises ExceptionGroup of every UsageError."""
    found: list[Settings] = []
    errors = [UsageError("template", note) for note in stale_notes(project)]
    try:
        found = [placed.settings for placed in load_all(project)]
    except UsageError as error:
        errors.insert(0, error)
    errors += _template_errors(found, project)
    if errors:
        raise ExceptionGroup("settings", errors)
    return found


def _template_errors(found: list[Settings], project: Path) -> Iterator[UsageError]:
    said: set[str] = set()
    for settings in found:
        try:
            check_templates(settings, project)
        except UsageError as error:
            if error.message not in said:
                yield error
            said.add(error.message)
