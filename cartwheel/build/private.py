"""Keeps private files out of wheels: files that the settings name, keys, environments."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import TYPE_CHECKING

from cartwheel.build import kinds
from cartwheel.errors import BuildError
from cartwheel.settings import served
from cartwheel.settings.named import NamedFile, named_files
from cartwheel.settings.patterns import fits, toml_list
from cartwheel.settings.variables import SECRET_BYTES

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Settings

# Shorter content is not compared: other files may contain the same few characters.
_TELLING_BYTES = 8
_LFS = b"version https://git-lfs.github.com/spec/"
_LINE_END_BYTES = 2  # a copy may end in another line end, or in none
_SHOWN = 10


@dataclass(frozen=True)
class Named:
    """The files that the settings name, under any path or name; each with its setting."""

    inodes: frozenset[tuple[int, int]] = frozenset()
    sizes: frozenset[int] = frozenset()
    contents: Mapping[str, str] = field(default_factory=dict)  # by SHA-256, see `_digest`
    paths: Mapping[str, str] = field(default_factory=dict)  # by their possible names in a wheel

    def has(self, path: Path) -> bool:
        """Whether this is such a file, also under another path, or a copy of one."""
        if not self.inodes:
            return False
        status = path.stat()
        if (status.st_dev, status.st_ino) in self.inodes:
            return True
        alike = any(abs(status.st_size - size) <= _LINE_END_BYTES for size in self.sizes)
        return alike and _digest(path.read_bytes()) in self.contents

    def setting(self, name: str, content: bytes) -> str | None:
        """The setting that names a wheel's file of this name and content."""
        return self.paths.get(name) or self.contents.get(_digest(content))


@dataclass(frozen=True)
class Privacy:
    """Which files of an application may go into its wheel."""

    named: Named = Named()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    static_dirs: tuple[str, ...] = ()

    def includes(self, *names: str) -> bool:
        """Whether `app.include` names this file, by any of its names."""
        return any(fits(self.include, name) for name in names)

    def excludes(self, *names: str) -> bool:
        """Whether `app.exclude` names this file, by any of its names."""
        return any(fits(self.exclude, name) for name in names)

    def serves(self, name: str) -> bool:
        """Whether the file is in a folder of `web.static`."""
        return any(name.startswith(f"{folder}/") for folder in self.static_dirs)


OPEN = Privacy()


def privacy_for(
    settings: Settings, project: Path, source: Path, more: Iterable[NamedFile] = ()
) -> Privacy:
    """The rules for the files of `source`, a folder or a wheel; `more` files count like files that
    the settings name. Raises UsageError("settings")."""
    return Privacy(
        _known((*named_files(settings, project), *more), (source, project)),
        settings.app.include,
        settings.app.exclude,
        served.folders(settings),
    )


def _known(files: Iterable[NamedFile], folders: tuple[Path, ...]) -> Named:
    inodes: set[tuple[int, int]] = set()
    sizes: set[int] = set()
    contents: dict[str, str] = {}
    paths: dict[str, str] = {}
    for one in files:
        with suppress(OSError, ValueError):  # it is missing or not readable
            status = one.path.stat()
            if not S_ISREG(status.st_mode):
                continue
            paths.update((name, one.setting) for name in _names(one.path, folders))
            inodes.add((status.st_dev, status.st_ino))
            content = one.path.read_bytes() if status.st_size <= SECRET_BYTES else b""
            if len(content.strip()) >= _TELLING_BYTES:
                sizes.add(status.st_size)
                contents[_digest(content)] = one.setting
    return Named(frozenset(inodes), frozenset(sizes), contents, paths)


def _names(path: Path, folders: Iterable[Path]) -> Iterator[str]:
    """The possible names of a file of these folders in a wheel."""
    for spelled in (Path(os.path.normpath(path)), path.resolve()):
        for folder in folders:
            for base in (folder, folder.resolve()):
                if spelled.is_relative_to(base):
                    name = spelled.relative_to(base).as_posix()
                    yield from (name, name.removeprefix("src/"))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content.strip()).hexdigest()


def check_wheel(wheel: Path, privacy: Privacy) -> None:
    """Refuse a wheel, built here or elsewhere, that contains private files.

    These are files that the settings name, private keys in any file, and environments (`.env`);
    `app.include` allows the last two. Raises BuildError("private-file") with the names of the
    files, never with their content, and BuildError("source") for files that Git LFS has not
    fetched.
    """
    named, other, pointers = [], [], []
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            content = archive.read(entry)
            setting = privacy.named.setting(entry.filename, content)
            if setting is not None:
                named.append(f"{entry.filename} ({setting} names it)")
            elif content.startswith(_LFS):
                pointers.append(entry.filename)
            elif not privacy.includes(entry.filename):
                kind = _kind(entry.filename, content)
                other += [(entry.filename, f"{entry.filename} ({kind})")] if kind else []
    if pointers:
        raise _not_fetched(wheel, pointers)
    if not named and not other:
        return
    found = [*named, *(text for _, text in other)]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    line = toml_list((*privacy.include, *(name for name, _ in other)))
    allow = f", or allow it if it is not secret: app.include = {line}" if other else ""
    raise BuildError(
        "private-file",
        f"{wheel.name} contains {', '.join(found[:_SHOWN])}{more}",
        hint=f"Exclude it from the package{allow}.",
        detail="\n".join(found) if more else "",
    )


def _not_fetched(wheel: Path, pointers: list[str]) -> BuildError:
    more = f" and {len(pointers) - _SHOWN} more" if len(pointers) > _SHOWN else ""
    names = f"{', '.join(pointers[:_SHOWN])}{more}"
    return BuildError(
        "source",
        f"{wheel.name} has pointers of Git LFS instead of files: {names}",
        hint="`git lfs pull` fetches the files; app.exclude leaves them out.",
    )


def _kind(name: str, content: bytes) -> str:
    if kinds.holds_key(content, name):
        return "a private key"
    return "an environment file" if kinds.is_env(PurePosixPath(name).name.lower()) else ""
