"""All checks that need no host, for every application in every environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from cartwheel.commands.notifying import check_notify
from cartwheel.commands.placed import check_placed
from cartwheel.commands.tls import check_certificate
from cartwheel.commands.users import check_users
from cartwheel.errors import UsageError
from cartwheel.render.overrides import stale_notes
from cartwheel.render.release import check_templates
from cartwheel.settings.loading import load_all
from cartwheel.settings.toml_tables import Settings
from cartwheel.settings.variables import dotenv


def check(project: Path) -> list[Settings]:
    """All settings of the project. Raises ExceptionGroup of every UsageError."""
    found: list[Settings] = []
    errors = [UsageError("template", note) for note in stale_notes(project)]
    try:
        found = [placed.settings for placed in load_all(project)]
    except UsageError as error:
        errors.insert(0, error)
    errors += _once_each(found, lambda one: check_templates(one, project))
    errors += _once_each(found, lambda one: check_placed(one, project))
    errors += _once_each(found, lambda one: list(dotenv(one, project)))
    errors += _once_each(found, lambda one: check_certificate(one, project))
    errors += _once_each(found, lambda one: check_users(one, project))
    errors += _once_each(found, check_notify)
    if errors:
        raise ExceptionGroup("settings", errors)
    return found


def _once_each(
    found: list[Settings], check_one: Callable[[Settings], object]
) -> Iterator[UsageError]:
    """What the check says of all settings, without repetitions."""
    said: set[str] = set()
    for settings in found:
        try:
            check_one(settings)
        except UsageError as error:
            if error.message not in said:
                yield error
            said.add(error.message)
