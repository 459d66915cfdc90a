"""Poetry's requirements for a project that Poetry does not install (`package-mode = false`).

Only Poetry's own back end knows its notation of versions. So it builds a package without code that
has the same requirements.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from cartwheel.build.origins import TomlFile, understood
from cartwheel.decoded import Table
from cartwheel.settings.as_toml import toml as as_toml

MODULE = "cartwheel_stand_in"
_BACK_END = {"requires": ["poetry-core"], "build-backend": "poetry.core.masonry.api"}
_KEPT = ("name", "version", "dependencies", "extras")


def write_stand_in(project: TomlFile, folder: Path, groups: Iterable[str] = ()) -> None:
    """Write the stand-in for `project` into `folder`, with the requirements of its `groups`."""
    poetry = project.at("tool", "poetry")
    table: Table = {"name": "app", "version": "0", "description": "", "authors": []}
    table |= {key: poetry[key] for key in _KEPT if key in poetry}
    with understood(project.where("tool", "poetry", "dependencies")):
        wanted = dict(poetry.get("dependencies", {}))
    for group in groups:
        wanted |= project.at("tool", "poetry", "group", group, "dependencies")
    table |= {"dependencies": wanted, "packages": [{"include": f"{MODULE}.py"}]}
    system = project.at("build-system") or _BACK_END
    lines = ["[build-system]", *_pairs(system), "[tool.poetry]", *_pairs(table)]
    (folder / "pyproject.toml").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (folder / f"{MODULE}.py").write_text("", encoding="utf-8")


def _pairs(table: Table) -> list[str]:
    return [f"{json.dumps(key)} = {as_toml(value)}" for key, value in table.items()]
