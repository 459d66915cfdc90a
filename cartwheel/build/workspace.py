"""uv workspaces: several packages below one root that refer to each other by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cartwheel.build.origins import TomlFile, from_tables, normal, pyproject


@dataclass(frozen=True)
class Workspace:
    """Its root, and the folder of each member by normalised name: none if a project is in no
    workspace, and its own root."""

    root: Path
    members: dict[str, Path]


@from_tables
def workspace_of(folder: Path) -> Workspace:
    """The workspace of `folder`, its root or a member (uv: the nearest one above)."""
    for root in (folder, *folder.parents):
        toml = pyproject(root)
        if "workspace" not in toml.at("tool", "uv"):
            continue
        folders = _members(toml, root)
        if folder.resolve() not in {one.resolve() for one in folders}:
            break
        return Workspace(root, {name: one for one in folders if (name := name_in(one))})
    return Workspace(folder, {})


def _members(toml: TomlFile, root: Path) -> list[Path]:
    table = toml.at("tool", "uv", "workspace")
    left_out = {path for glob in table.get("exclude", []) for path in root.glob(glob)}
    globs = [glob.rstrip("/") or "." for glob in table.get("members", [])]
    found = [path for glob in globs for path in sorted(root.glob(glob))]
    kept = [path for path in found if path not in left_out]
    return [root, *(path for path in kept if (path / "pyproject.toml").is_file())]


def name_in(folder: Path) -> str:
    """The name that a folder's pyproject.toml gives its package; empty without one."""
    toml = pyproject(folder)
    name = toml.at("project").get("name") or toml.at("tool", "poetry").get("name")
    return normal(name) if isinstance(name, str) else ""
