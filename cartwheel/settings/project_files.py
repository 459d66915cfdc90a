"""Where a project has its settings and its templates.

In an application's own repository: `cartwheel.toml` and `.cartwheel/`, which no build back end
takes for a package. In a clone of Cartwheel, and in projects that an earlier version made:
`config/` and `templates/`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cartwheel.errors import UsageError
from cartwheel.places import own

_SCHEMA = "settings.schema.json"


@dataclass(frozen=True)
class ProjectFiles:
    """Paths relative to the project. `folder` has further settings files and their schema."""

    deploy: str
    folder: str
    templates: str

    @property
    def apps(self) -> str:
        return f"{self.folder}/apps"

    @property
    def environments(self) -> str:
        return f"{self.folder}/environments"

    @property
    def schema(self) -> str:
        return f"{self.folder}/{_SCHEMA}"


NEW = ProjectFiles("cartwheel.toml", ".cartwheel", ".cartwheel/templates")
OLD = ProjectFiles("config/deploy.toml", "config", "templates")


def files_of(project: Path) -> ProjectFiles:
    """The places that this project uses. Raises UsageError("settings") if it uses both."""
    old = _first(project, OLD, _old_patterns())
    new = _first(project, NEW, (f"{NEW.environments}/*.toml", f"{NEW.templates}/*.j2"))
    if old and new:
        raise UsageError(
            "settings",
            f"there are both {new} and {old}, and only one of these places is used",
            hint=(
                f"Move {OLD.deploy} to {NEW.deploy}, {OLD.apps}/ and {OLD.environments}/ to"
                f" {NEW.folder}/, and Cartwheel's files in {OLD.templates}/ to {NEW.templates}/."
            ),
        )
    return OLD if old else NEW


def own_files(project: Path) -> tuple[str, ...]:
    """Cartwheel's own files in a project, relative to it: files, and folders with a slash at the
    end. They are no part of the application: another drain time does not change it."""
    used = files_of(project)
    if not (project / used.deploy).is_file() and not (project / used.apps).is_dir():
        return ()
    if used == NEW:
        return ("fabfile.py", NEW.deploy, f"{NEW.folder}/")
    return ("fabfile.py", OLD.deploy, OLD.schema, f"{OLD.apps}/", f"{OLD.environments}/")


@cache
def _old_patterns() -> tuple[str, ...]:
    # The folder `templates/` may be the application's own, and so may `config/environments/`.
    return tuple(f"{OLD.templates}/{path.name}" for path in own("templates").glob("*.j2"))


def _first(project: Path, files: ProjectFiles, more: Iterable[str]) -> str:
    """The first file in these places, relative to the project; "" if there is none."""
    for pattern in (files.deploy, f"{files.apps}/*.toml", *more):
        for found in sorted(project.glob(pattern)):
            return str(found.relative_to(project))
    return ""
