"""Finds the file that declares the requirements of a folder that no back end builds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cartwheel.build.origins import TomlFile, pyproject
from cartwheel.errors import BuildError

# "settings": they name a requirements file; else "several" and "conda" are refused.
Kind = (
    Literal["requirements", "project", "poetry", "pipfile", "pylock"]
    | Literal["none", "settings", "several", "conda"]
)

_LIVE = ("production", "prod", "deploy")
_SHARED = ("base", "common", "main", "default", "requirements")
_NOT_LIVE = re.compile(
    r"(^|[-_.])(dev\w*|tests?\w*|testing|local|lint\w*|docs?|ci|build|tools|typing|qa|staging"
    r"|optional|extras?)([-_.]|$)"
)
_CONDA = ("environment.yml", "environment.yaml", "conda-lock.yml")


def is_for_development(name: str) -> bool:
    """Whether a file or a group of this name is for something else than running the application."""
    return bool(_NOT_LIVE.search(name.lower()))


@dataclass(frozen=True)
class Declaration:
    """The file that declares requirements, and others beside it that are not used."""

    kind: Kind
    path: Path
    unused: tuple[str, ...] = ()

    @property
    def content(self) -> str:
        """The text of the file."""
        is_file = self.path.is_file()
        return self.path.read_text(encoding="utf-8", errors="replace") if is_file else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the choice."""
        if self.kind == "settings":
            return ()
        unused = f"; not used: {', '.join(self.unused)}" if self.unused else ""
        if self.kind == "none":
            return (f"no requirements were found; app.requirements can name them{unused}",)
        return (f"requirements: {self.path.name}{unused}",) if unused or self._is_chosen else ()

    @property
    def _is_chosen(self) -> bool:
        """Whether the file was chosen among others that might have been meant."""
        return self.kind == "requirements" and self.path.name != "requirements.txt"


def declaration_in(folder: Path) -> Declaration | None:
    """The file that declares the requirements of `folder`; None without one."""
    toml = pyproject(folder)
    found: list[tuple[Kind, Path]] = []
    if _has_project(toml):
        found.append(("project", toml.path))
    if toml.at("tool", "poetry") and not found:
        found.append(("poetry", toml.path))
    files = _requirements_files(folder)
    one_of: tuple[tuple[Kind, str], ...] = (
        ("requirements", "requirements.txt"),
        ("pipfile", "Pipfile" if (folder / "Pipfile").is_file() else "Pipfile.lock"),
        ("pylock", "pylock.toml"),
    )
    found += [(kind, folder / name) for kind, name in one_of if (folder / name).is_file()]
    if not found and files:
        return _of_several(folder, files)
    conda = tuple(name for name in _CONDA if (folder / name).is_file())
    if not found:
        return Declaration("conda", folder / conda[0]) if conda else None
    kind, path = found[0]
    locks = {"Pipfile.lock", "pylock.toml"}
    others = [one.name for _, one in found[1:] if one.name not in locks]
    more = [one for one in files if folder / one not in (path, folder / "requirements.txt")]
    return Declaration(kind, path, (*others, *_unused(folder, path, more), *conda))


def _unused(folder: Path, used: Path, names: list[str]) -> list[str]:
    """Files of requirements that are not for development, and that no used file mentions."""
    left = [name for name in names if not is_for_development(_word(name))]
    reached = [used]
    for file in reached:
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        mentioned = [name for name in left if Path(name).name in text]
        reached += [folder / name for name in mentioned]
        left = [name for name in left if name not in mentioned]
    compiled = {Path(name).with_suffix(".in") for name in (*names, used.name)}
    return [name for name in left if Path(name) not in compiled]


def _has_project(toml: TomlFile) -> bool:
    """Whether [project] declares requirements, or nothing else can."""
    project = toml.at("project")
    if not project or "dependencies" in project.get("dynamic", []):
        return False
    others = (*_requirements_files(toml.path.parent), "Pipfile")
    return "dependencies" in project or not any(
        (toml.path.parent / name).is_file() for name in others
    )


def _requirements_files(folder: Path) -> list[str]:
    """Files in pip's format, relative to the folder."""
    beside = (path for path in folder.glob("*requirements*") if path.suffix in (".txt", ".in"))
    inside = (path for path in folder.glob("requirements/*") if path.suffix in (".txt", ".in"))
    return sorted(str(path.relative_to(folder)) for path in (*beside, *inside) if path.is_file())


def _of_several(folder: Path, names: list[str]) -> Declaration:
    """The file for production: by its name, or the only one that is not for something else."""
    words = {name: _word(name) for name in names}
    compiled = [name for name in names if name.endswith(".txt")]
    by_word = [n for word in (*_LIVE, *_SHARED) for n in (*compiled, *names) if words[n] == word]
    left = [name for name in compiled or names if not is_for_development(words[name])]
    for name in by_word or (left if len(left) == 1 else ()):
        others = _unused(folder, folder / name, [one for one in names if one != name])
        return Declaration("requirements", folder / name, tuple(others))
    return Declaration("several" if left else "none", folder, tuple(left or names))


def _word(name: str) -> str:
    """The purpose of a file, from its name: `prod` for requirements-prod.txt."""
    stem = Path(name).stem
    return re.sub(r"(^|[-_.])requirements([-_.]|$)", "", stem) or "requirements"


def refuse_unclear(declaration: Declaration) -> None:
    """Raise BuildError("source") if a person must choose the requirements."""
    if declaration.kind == "several":
        names = declaration.unused
        raise BuildError(
            "source",
            f"{declaration.path} has several files of requirements: {', '.join(names)}",
            hint=f'Choose one: app.requirements = ["-r {names[0]}"].',
        )
    if declaration.kind == "conda":
        raise BuildError(
            "source",
            f"{declaration.path} names packages of conda; hosts install from a package index",
            hint="Write a requirements.txt with the names that packages have on the index.",
        )
