"""Looks at the application that `config.init` writes settings for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel import places
from cartwheel.build.source import find_source
from cartwheel.errors import UsageError
from cartwheel.project.detect import Found, detect, detect_wheel, source_of
from cartwheel.project.proposal import as_name

if TYPE_CHECKING:
    from cartwheel.events import Emit


def look(
    project: Path, source: str, entry: str, emit: Emit, ask: Callable[[], str]
) -> tuple[str, Found]:
    """`app.source` and what was found there: `source`, else the application in this folder, where
    somebody may know its `entry`, else the answer to `ask`. Raises BuildError, and UsageError if
    there is no application."""
    if not source:
        found = detect(project)
        if found.entries or entry:
            place = source_of(project, found)
            if place == ".":
                return place, found
            return place, replace(detect(project / place, project), others=found.others)
        source = ask()
    if not source:
        raise UsageError(
            "usage",
            f"no WSGI or ASGI application was found in {project}",
            hint=(
                "Name it: `--source FOLDER`, `--source NAME==VERSION` for one of the package index,"
                " or `--entry module:attribute`."
            ),
        )
    wanted = find_source(source, project)
    if wanted.is_folder:
        return source, detect(wanted.path)
    return source, _in_wheel(project, source, emit)


def _in_wheel(project: Path, source: str, emit: Emit) -> Found:
    """Read the application in a wheel; a wheel of NAME==VERSION is downloaded first."""
    from cartwheel.build.artifact import build_app
    from cartwheel.build.order import Order
    from cartwheel.build.wheel import read_metadata
    from cartwheel.settings.toml_tables import App, Settings

    settings = Settings(app=App(name="app", source=source))
    state = places.cache_dir() / "build"
    artifact = build_app(Order(settings, project, state, emit))
    requires = read_metadata(artifact.wheel).requires_python
    return detect_wheel(artifact.wheel, as_name(artifact.name), requires)
