"""Chooses which files of a folder go into its wheel (docs/build.md)."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from cartwheel.build import kinds
from cartwheel.build.ignored import ignored_in
from cartwheel.build.private import OPEN, Privacy
from cartwheel.build.source import Source, empty_submodules, files_and_links, is_broken
from cartwheel.errors import BuildError
from cartwheel.settings.patterns import fits

# Files that are not part of the running application. Everything else is included: an application
# may read any file in its folder.
_LEFT_FOLDERS = frozenset({"tests", "test", "instance", "node_modules", "docs"})
_LEFT_FILES = re.compile(
    r"^([\w.-]*requirements[\w.-]*\.(txt|in)|Pipfile|uv\.toml|pylock.*\.toml|environment\.ya?ml"
    r"|conftest\.py|test_.*\.py|README.*|LICENSE.*|CHANGELOG.*|Makefile"
    r"|Dockerfile.*|docker-compose.*|Procfile"
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
    in it; of a package those that app.include adds to what its back end takes."""

    build: Files
    carried: Files = ()
    left_out: tuple[LeftOut, ...] = ()  # files that app.include could include
    notes: tuple[str, ...] = ()


def choose(source: Source, privacy: Privacy = OPEN, entry: str = "") -> Chosen:
    """Look through the folder; the module of `entry` is at the top of a plain folder's wheel.

    Raises BuildError("source").
    """
    tops = _tops((*privacy.static_dirs, *privacy.include))
    found = tuple(files_and_links(source.path, tops))
    links = frozenset(name for name, path in found if is_broken(path))
    files = tuple(one for one in found if one[0] not in links)
    placed = _placed(source, files, entry)
    named = tuple(name for name, path in files if privacy.named.has(path))
    hidden = frozenset(named)
    rest = tuple(
        (name, path)
        for name, path in files
        if name not in hidden and not privacy.excludes(name, placed[name])
    )
    if source.kind == "plain":
        chosen = _of_plain(source.path, rest, placed, privacy)
    else:
        added = ((name, path) for name, path in rest if privacy.includes(name))
        chosen = Chosen(rest, tuple((name.removeprefix("src/"), path) for name, path in added))
    notes = (*_missing(source.path, links), *chosen.notes, *_notes(named, chosen.left_out))
    return replace(chosen, notes=notes)


def _of_plain(root: Path, files: Files, placed: Mapping[str, str], privacy: Privacy) -> Chosen:
    """Those of `files` that belong into the wheel of a plain folder, with notes."""
    beside = frozenset(name for name, _ in files if _is_beside(name, placed, privacy))
    included = frozenset(name for name, _ in files if privacy.includes(name, placed[name]))
    asked = tuple(one for one in files if one[0] not in included)
    doubtful, notes = _doubtful(root, asked, privacy, placed, beside)
    build = tuple(one for one in files if one[0] not in doubtful)
    kept = tuple(one for one in build if one[0] not in beside or one[0] in included)
    carried = tuple((placed[name], path) for name, path in kept)
    names = frozenset(name for name, _ in carried)
    left_out = tuple(_grouped(map(placed.__getitem__, doubtful), names))
    known = names.union(name for name, _ in kept)
    unknown = [
        f"app.include: there is no {pattern}"
        for pattern in privacy.include
        if not any(fits((pattern,), name) for name in known)
    ]
    return Chosen(build, carried, left_out=left_out, notes=(*notes, *unknown))


def _tops(paths: Iterable[str]) -> frozenset[str]:
    """The folders at the top in which paths are."""
    return frozenset(path.strip("/").partition("/")[0] for path in paths)


def _missing(root: Path, links: Iterable[str]) -> Iterator[str]:
    """Notes about files that the folder refers to but does not contain."""
    shown = ", ".join(sorted(links)[:_SHOWN])
    if shown:
        yield f"links to nothing are left out: {shown}"
    for path in empty_submodules(root):
        yield f"the submodule {path} is empty; `git submodule update --init` fetches it"


def _placed(source: Source, files: Files, entry: str) -> dict[str, str]:
    """The name in a plain folder's wheel of each file, so that Python finds the module of `entry`:
    names are as they are, or else below the folder's own name, or else without `src/` or the only
    folder at the top that has the module."""
    names = frozenset(name for name, _ in files)
    module = entry.partition(":")[0].replace(".", "/")
    folder = source.path.name
    inside = module.removeprefix(f"{folder}/")
    if source.kind != "plain" or not module or _has(names, module):
        return {name: name for name in names}
    if inside != module and "__init__.py" in names and _has(names, inside):
        return {name: f"{folder}/{name}" for name in names}
    tops = _tops(name for name in names if "/" in name)
    roots = [top for top in sorted(tops) if _has(names, f"{top}/{module}")]
    roots = [top for top in roots if f"{top}/__init__.py" not in names]
    root = "src" if "src" in roots else roots[0] if len(roots) == 1 else ""
    return {name: name.removeprefix(f"{root}/") for name in names}


def _has(names: frozenset[str], module: str) -> bool:
    return f"{module}.py" in names or f"{module}/__init__.py" in names


def _is_beside(name: str, placed: Mapping[str, str], privacy: Privacy) -> bool:
    """Whether a file is not part of the running application."""
    first, _, rest = name.partition("/")
    served = privacy.serves(placed[name])
    shown = {".well-known"} if served else set()
    if any(part.startswith(".") and part not in shown for part in name.split("/")):
        return True  # private or tools' files
    if first.endswith((".dist-info", ".data")):
        return True
    if served or (first == "docs" and "docs/__init__.py" in placed):
        return False
    if first == "requirements" and rest.endswith((".txt", ".in")):
        return True
    return first in _LEFT_FOLDERS if rest else bool(_LEFT_FILES.match(first))


def _doubtful(
    root: Path,
    files: Files,
    privacy: Privacy,
    placed: Mapping[str, str],
    beside: Container[str],
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Those of `files` that stay out, and notes about the reasons."""
    ignored = ignored_in(root)
    packages = frozenset(
        folder for name in placed if name.endswith(".py") for folder in _folders(name)
    )
    real_name = _real_names(root)

    def stays(name: str, path: Path) -> bool:
        real = real_name(path)
        served = privacy.serves(placed[name])
        kind = kinds.by_name(name) or kinds.by_name(real)
        if name in beside:  # the note names only files that a person might miss
            return kind in kinds.SECRET_KINDS and path.name.startswith(".")
        if kind in kinds.SECRET_KINDS:
            return True
        if not served:
            uploads = kinds.uploads_folder(name)
            if kind or (uploads and uploads not in packages):
                return True
            if name in ignored or real in ignored:
                return True
        kind = _by_content(path, name)
        return kind in kinds.SECRET_KINDS or (kind is not None and not served)

    found = (name for name, path in files if stays(name, path))
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
