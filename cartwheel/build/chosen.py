"""Chooses which files of a folder go into its wheel (docs/build.md)."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cartwheel.build import kinds
from cartwheel.build.ignored import ignored_in
from cartwheel.build.private import OPEN, Privacy
from cartwheel.build.source import Source, source_files
from cartwheel.errors import BuildError
from cartwheel.settings.patterns import fits

# Files that are not part of the running application. Everything else is included: an application
# may read any file in its folder.
_LEFT_FOLDERS = frozenset({"tests", "test", "instance", "node_modules", "docs"})
_LEFT_FILES = re.compile(
    r"^([\w.-]*requirements[\w.-]*\.(txt|in)|Pipfile|pylock.*\.toml|environment\.ya?ml|conftest\.py|test_.*\.py|README.*|LICENSE.*|CHANGELOG.*"
    r"|Makefile|Dockerfile.*|docker-compose.*|Procfile"
    r"|pyproject\.toml|setup\.cfg|tox\.ini|pytest\.ini|.*\.lock)$",
    re.IGNORECASE,
)
_SHOWN = 8

Files = tuple[tuple[str, Path], ...]


@dataclass(frozen=True)
class LeftOut:
    """A file that is left out, or with a slash at its end a folder that is left out completely."""

    name: str
    files: int = 1

    def __str__(self) -> str:
        return f"{self.name} {_counted(self.files)}" if self.name.endswith("/") else self.name


@dataclass(frozen=True)
class Chosen:
    """`build` are the files for a build, `carried` those of a plain folder's wheel, by their names
    in it."""

    build: Files
    carried: Files = ()
    named: tuple[str, ...] = ()  # files that the settings name, which app.include cannot include
    left_out: tuple[LeftOut, ...] = ()  # files that app.include could include
    notes: tuple[str, ...] = ()


def choose(source: Source, privacy: Privacy = OPEN, entry: str = "") -> Chosen:
    """Look through the folder; the module of `entry` is at the top of a plain folder's wheel.

    Raises BuildError("source").
    """
    files = tuple(source_files(source.path))
    named = tuple(name for name, path in files if privacy.named.has(path))
    without = frozenset(named)
    rest = tuple(one for one in files if one[0] not in without and not privacy.excludes(one[0]))
    if source.kind != "plain":
        return Chosen(rest, named=named, notes=_notes(named, ()))
    doubtful, notes = _doubtful(source.path, rest, privacy)
    build = tuple(one for one in rest if one[0] not in doubtful)
    carried = tuple(one for one in build if privacy.includes(one[0]) or not _is_beside(one[0]))
    left_out = tuple(_grouped(doubtful, (name for name, _ in carried)))
    unknown = [
        f"app.include: there is no {pattern}"
        for pattern in privacy.include
        if not any(fits((pattern,), name) for name, _ in carried)
    ]
    carried = tuple(_placed(carried, source.path.name, entry))
    return Chosen(build, carried, named, left_out, (*notes, *unknown, *_notes(named, left_out)))


def _placed(files: Files, folder: str, entry: str) -> Iterator[tuple[str, Path]]:
    """Files under the names in which Python finds the entry's module: as they are, or else below
    the folder's own name, or else from `src` or the only folder at the top that has the module."""
    names = frozenset(name for name, _ in files)
    module = entry.partition(":")[0].replace(".", "/")
    inside = module.removeprefix(f"{folder}/")
    if not module or _has(names, module):
        yield from files
    elif inside != module and "__init__.py" in names and _has(names, inside):
        yield from ((f"{folder}/{name}", path) for name, path in files)
    else:
        tops = {name.partition("/")[0] for name in names if "/" in name}
        roots = [top for top in sorted(tops) if _has(names, f"{top}/{module}")]
        roots = [top for top in roots if f"{top}/__init__.py" not in names]
        root = "src" if "src" in roots else roots[0] if len(roots) == 1 else ""
        yield from ((name.removeprefix(f"{root}/"), path) for name, path in files)


def _has(names: frozenset[str], module: str) -> bool:
    return f"{module}.py" in names or f"{module}/__init__.py" in names


def _is_beside(name: str) -> bool:
    """Whether a file is not part of the running application."""
    first, _, rest = name.partition("/")
    if any(part.startswith(".") for part in name.split("/")):
        return True  # private or tools' files
    if first.endswith((".dist-info", ".data")):
        return True
    if first == "requirements" and rest.endswith((".txt", ".in")):
        return True
    return first in _LEFT_FOLDERS if rest else bool(_LEFT_FILES.match(first))


def _doubtful(root: Path, files: Files, privacy: Privacy) -> tuple[frozenset[str], tuple[str, ...]]:
    """The files that stay out unless they are included, and notes about the reasons."""
    ignored = ignored_in(root)
    packages = frozenset(
        folder for name, _ in files if name.endswith(".py") for folder in _folders(name)
    )
    real_name = _real_names(root)

    def stays(name: str, path: Path) -> bool:
        real = real_name(path)
        kind = kinds.by_name(name) or kinds.by_name(real)
        if _is_beside(name):  # the note names only files that a person might miss
            return kind in kinds.SECRET_KINDS and path.name.startswith(".")
        if kind in kinds.SECRET_KINDS:
            return True
        if not privacy.serves(name):
            uploads = kinds.uploads_folder(name)
            if kind or (uploads and uploads not in packages):
                return True
            if name in ignored or real in ignored:
                return True
        kind = _by_content(path, name)
        return kind in kinds.SECRET_KINDS or (kind is not None and not privacy.serves(name))

    found = (name for name, path in files if not privacy.includes(name) and stays(name, path))
    return frozenset(found), ignored.notes


def _real_names(root: Path) -> Callable[[Path], str]:
    """A function for the real name of a path, relative to `root` if it is inside."""
    real_folder, prefix = cache(os.path.realpath), f"{os.path.realpath(root)}/"

    def real_name(path: Path) -> str:
        folder, name = os.path.split(path)
        real = os.path.realpath(path) if path.is_symlink() else f"{real_folder(folder)}/{name}"
        return real.removeprefix(prefix)

    return real_name


def _by_content(path: Path, name: str) -> kinds.Kind | None:
    try:
        return kinds.by_content(path, name)
    except OSError as error:
        raise BuildError("source", f"{path} cannot be read: {error.strerror}") from error


def _grouped(left_out: Iterable[str], carried: Iterable[str]) -> Iterator[LeftOut]:
    """Group files by the topmost folder that is left out completely."""
    kept = {folder for name in carried for folder in _folders(name)}
    groups = Counter(
        next((folder for folder in _folders(name) if folder not in kept), name)
        for name in sorted(left_out)
    )
    return (LeftOut(name, files) for name, files in groups.items())


def _folders(name: str) -> Iterator[str]:
    """The folders that a file is in, topmost first, with a slash at the end."""
    parts = name.split("/")[:-1]
    return ("/".join(parts[: number + 1]) + "/" for number in range(len(parts)))


def _counted(files: int) -> str:
    return f"{files} file{'s' if files > 1 else ''}"


def _notes(named: tuple[str, ...], left_out: tuple[LeftOut, ...]) -> tuple[str, ...]:
    count = len(named) + sum(one.files for one in left_out)
    if not count:
        return ()
    shown = [*named, *map(str, left_out)]
    text = ", ".join([*shown[:_SHOWN], *(["..."] if len(shown) > _SHOWN else [])])
    text = text.encode("utf-8", "backslashreplace").decode()  # file names may be any bytes
    why = "app.include includes files" if left_out else "the settings name it"
    return (f"left out of the wheel: {_counted(count)} ({text}); {why}",)
