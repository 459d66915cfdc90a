"""Reads Pipenv's Pipfile, and Pipfile.lock.

The format: https://github.com/pypa/pipfile
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from cartwheel.build.declaration import is_for_development
from cartwheel.build.index import IndexOptions
from cartwheel.build.origins import Origin, TomlFile, local_path, normal, origin_at, repository_at
from cartwheel.build.requirements_file import Requirements
from cartwheel.build.wheel import parsed
from cartwheel.decoded import Fields, Table
from cartwheel.errors import BuildError

PIPFILE, LOCK = "Pipfile", "Pipfile.lock"
_MARKERS = ("os_name", "sys_platform", "platform_machine", "platform_python_implementation")
_MORE_MARKERS = ("platform_release", "platform_system", "platform_version", "python_version")
_LATER_MARKERS = ("python_full_version", "implementation_name", "implementation_version")


def pipfile_requirements(folder: Path) -> Requirements:
    """The packages of Pipfile, or without one those of its lock. Raises BuildError("source")."""
    toml = TomlFile(folder / PIPFILE)
    if not toml.table:
        return _of_lock(folder)
    sources = {str(one.get("name")): _url(one) for one in toml.tables("source")}
    wanted, origins, places = [], [], {}
    for key, said in toml.at("packages").items():
        where = toml.where("packages", key)
        name = normal(key)
        origin = _origin(name, said, folder, where, sources)
        wanted.append(_requirement(key, said, where))
        places[name] = where
        origins += [origin] if origin is not None else []
    notes = [*_other_python(toml), *_other_groups(toml)]
    return Requirements(
        tuple(wanted), notes=tuple(notes), origins=tuple(origins), places=places,
        indexes=_indexes(toml),
    )  # fmt: skip


def _of_lock(folder: Path) -> Requirements:
    path = folder / LOCK
    wanted = [_requirement(name, said, str(path)) for name, said in locked_packages(path).items()]
    return Requirements(tuple(wanted))


def locked_packages(path: Path) -> dict[str, Table]:
    """The packages of a Pipfile.lock that are not for development. Raises BuildError("source")."""
    try:
        packages = json.loads(path.read_text(encoding="utf-8"))["default"]
        return {name: said for name, said in packages.items() if isinstance(said, dict)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BuildError("source", f"{path} cannot be read: {error}") from error


def _requirement(name: str, said: object, where: str) -> str:
    """A package as a requirement without its address."""
    table: Table = said if isinstance(said, dict) else {"version": said}
    version = str(table.get("version", "*")).strip()
    if version == "*" or _address(table):
        version = ""
    elif version[:1].isdigit():
        version = f"=={version}"
    extras = f"[{','.join(table['extras'])}]" if table.get("extras") else ""
    markers = " and ".join(f"({one})" for one in _markers(table))
    return str(parsed(f"{name}{extras}{version}" + (f" ; {markers}" if markers else ""), where))


def _markers(table: Fields) -> Iterator[str]:
    if table.get("markers"):
        yield str(table["markers"])
    for key in (*_MARKERS, *_MORE_MARKERS, *_LATER_MARKERS):
        if key in table:  # sys_platform = "== 'linux'"
            yield f"{key} {table[key]}"


def _address(table: Fields) -> bool:
    return any(key in table for key in ("git", "path", "file", "hg", "svn", "bzr"))


def _origin(name: str, said: object, folder: Path, where: str, sources: Fields) -> Origin | None:
    if not isinstance(said, dict):
        return None
    origin = address_of(name, said, folder, where)
    index = said.get("index")
    if origin is not None or not index or sources.get(index) == next(iter(sources.values()), ""):
        return origin
    if index not in sources:
        return Origin(name, "refused", f"there is no source {index!r}", where)
    return Origin(name, "index", str(sources[index]).rstrip("/"), where)


def address_of(name: str, table: Fields, folder: Path, where: str) -> Origin | None:
    """The source of a package with an address, in a Pipfile or its lock."""
    inside = str(table.get("subdirectory", ""))
    if "git" in table:
        place = repository_at(str(table["git"]).removeprefix("git+"), folder)
        return Origin(name, "git", place, where, str(table.get("ref", "")), inside)
    if "path" in table:
        return Origin(name, "path", local_path(str(table["path"]), folder), where, "", inside)
    if "file" in table:
        found = origin_at(name, str(table["file"]), folder, where)
        return Origin(name, found.kind, found.place, where, "", inside, found.sha256)
    other = next((key for key in ("hg", "svn", "bzr") if key in table), "")
    return Origin(name, "refused", f"{other} is not supported", where) if other else None


def _indexes(toml: TomlFile) -> IndexOptions:
    """The first source is the index of everything that names no other."""
    pre = toml.at("pipenv").get("allow_prereleases") is True
    first = next(iter(toml.tables("source")), None)
    if first is None:
        return IndexOptions(toml.where("pipenv"), pre=True) if pre else IndexOptions()
    url = _url(first)
    host = url.partition("//")[2].partition("/")[0].rpartition("@")[2]
    trusted = (host,) if first.get("verify_ssl") is False else ()
    return IndexOptions(toml.where("source", 0), url, trusted_hosts=trusted, pre=pre)


def _url(source: Fields) -> str:
    """The address of an index, with the variables that Pipenv expands."""
    return os.path.expandvars(str(source.get("url", "")))


def _other_python(toml: TomlFile) -> Iterator[str]:
    asked = toml.at("requires").get("python_full_version") or toml.at("requires").get(
        "python_version"
    )
    if asked:
        yield f"{PIPFILE} asks for Python {asked}; app.python decides"


def _other_groups(toml: TomlFile) -> Iterator[str]:
    known = {"source", "packages", "dev-packages", "requires", "pipenv", "scripts"}
    others = [name for name in toml.table if name not in known and not is_for_development(name)]
    if others:
        yield f"{PIPFILE}: these are not installed: {', '.join(others)}"
