"""Reads a project's own lock file: uv.lock, pylock.toml, poetry.lock or pdm.lock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cartwheel.build.origins import (
    Origin,
    TomlFile,
    local_path,
    normal,
    origin_at,
    repository_at,
    understood,
)
from cartwheel.build.pipfile import LOCK as PIPFILE_LOCK
from cartwheel.build.pipfile import address_of, locked_packages
from cartwheel.build.workspace import workspace_of
from cartwheel.decoded import Table

_HERE = ""  # the line is found later, if it is needed
_LOCAL = ("editable", "directory", "virtual", "path")


@dataclass(frozen=True)
class Locked:
    """Versions and files of packages from an index, and the sources of all others."""

    file: str = ""
    versions: dict[str, frozenset[str]] = field(default_factory=dict)
    hashes: dict[str, frozenset[str]] = field(default_factory=dict)  # "sha256:..." of some files
    origins: dict[str, Origin] = field(default_factory=dict)
    names: frozenset[str] = frozenset()

    @property
    def constraints(self) -> tuple[str, ...]:
        """Constraints; a package with several versions (by platform) is left to the resolver."""
        found = sorted(self.versions.items())
        return tuple(f"{name}=={min(some)}" for name, some in found if len(some) == 1)


def read_locked(folder: Path, indexes: Collection[str]) -> Locked:
    """The lock of the project in `folder`, or of the workspace that it belongs to.

    `indexes` are the URLs of the project's other indexes: a package that was found there is
    only looked up there. Raises BuildError("source").
    """
    for root in dict.fromkeys((folder, workspace_of(folder).root)):
        for name, read in _READERS.items():
            if (root / name).is_file():
                return _read(TomlFile(root / name), read, indexes)
    return Locked()


def read_pipfile_lock(folder: Path) -> Locked:
    """The lock of the Pipfile in `folder`. Raises BuildError("source")."""
    path = folder / PIPFILE_LOCK
    if not path.is_file():
        return Locked()
    with understood(str(path)):
        packages = [
            {
                **said,
                "name": name,
                "version": str(said.get("version", "")).removeprefix("=="),
                "files": [{"hash": one} for one in said.get("hashes", [])],
            }
            for name, said in locked_packages(path).items()
        ]
    placed = [(package, lambda: str(path)) for package in packages]
    return _collected(path, placed, partial(address_of, where=_HERE), ())


def _read(
    toml: TomlFile,
    read: Callable[[str, Table, Path], Origin | None],
    indexes: Collection[str],
) -> Locked:
    key = "packages" if toml.path.name == "pylock.toml" else "package"
    packages = toml.tables(key)
    placed = [(one, partial(toml.where_table, key, number)) for number, one in enumerate(packages)]
    return _collected(toml.path, placed, read, indexes)


def _collected(
    path: Path,
    packages: Iterable[tuple[Table, Callable[[], str]]],
    read: Callable[[str, Table, Path], Origin | None],
    indexes: Collection[str],
) -> Locked:
    versions: dict[str, set[str]] = {}
    hashes: dict[str, set[str]] = {}
    origins: dict[str, Origin] = {}
    names = set()
    for package, where in packages:
        if not isinstance(package.get("name"), str):
            continue
        name = normal(package["name"])
        names.add(name)
        with understood(str(path)):
            origin, found = read(name, package, path.parent), set(_hashes(package))
        if origin is not None and (origin.is_local or origin.place in indexes):
            origins[name] = replace(origin, where=where())
        if origin is None or not origin.is_local:
            version = package.get("version")
            known = versions.setdefault(name, set())
            known |= {version} if isinstance(version, str) and version else set()
            hashes.setdefault(name, set()).update(found)
    return Locked(
        path.name,
        {name: frozenset(some) for name, some in versions.items()},
        {name: frozenset(some) for name, some in hashes.items() if some},
        origins,
        frozenset(names),
    )


def _hashes(package: Table) -> Iterator[str]:
    """The hashes of a package's files, in each of the formats."""
    for key in ("sdist", "wheels", "files"):
        found = package.get(key, [])
        for file in found if isinstance(found, list) else [found]:
            if isinstance(file, dict):
                sha256 = file.get("hash") or f"sha256:{file.get('hashes', {}).get('sha256', '')}"
                if _hash(sha256):
                    yield str(sha256)


def _hash(text: object) -> str:
    return str(text).removeprefix("sha256:") if str(text).startswith("sha256:") else ""


def _uv(name: str, package: Table, base: Path) -> Origin | None:
    source = package.get("source", {})
    if not isinstance(source, dict):
        return None
    files = [package.get("sdist", {}), *package.get("wheels", [])]
    hashes = (_hash(one.get("hash")) for one in files if isinstance(one, dict))
    sha256 = next(filter(None, hashes), "")
    for key in _LOCAL:
        if key in source:
            path = local_path(str(source[key]), base)
            package_too = key != "virtual"
            return Origin(name, "path", path, _HERE, "", "", sha256, is_package=package_too)
    if "git" in source:
        parts = urlsplit(str(source["git"]))
        said = {key: values[0] for key, values in parse_qs(parts.query).items()}
        place = repository_at(parts._replace(query="", fragment="").geturl(), base)
        reference = parts.fragment or said.get("rev", "")
        return Origin(name, "git", place, _HERE, reference, said.get("subdirectory", ""))
    if "url" in source:
        inside = str(source.get("subdirectory", ""))
        return Origin(name, "url", str(source["url"]), _HERE, "", inside, sha256)
    if "registry" in source:
        paths = [str(one["path"]) for one in files if isinstance(one, dict) and "path" in one]
        return _registry(name, str(source["registry"]), paths, base)
    return None


def _registry(name: str, place: str, paths: list[str], base: Path) -> Origin:
    """The origin for an index, or for a folder of files that serves as one."""
    if place.startswith(("http:", "https:")):
        return Origin(name, "index", place.rstrip("/"), _HERE)
    file = min(paths, key=_by_purity, default="")
    return Origin(name, "path", local_path(f"{place}/{file}", base), _HERE)


def _by_purity(name: str) -> int:
    """Sorts the files in such a folder: pure wheels first."""
    return 0 if name.endswith("-none-any.whl") else 2 if name.endswith(".whl") else 1


def _poetry(name: str, package: Table, base: Path) -> Origin | None:
    source = package.get("source", {})
    kind, url = (source.get("type"), str(source.get("url", ""))) if source else (None, "")
    files = [_hash(one.get("hash")) for one in package.get("files", []) if isinstance(one, dict)]
    sha256 = files[0] if len(files) == 1 else ""
    inside = str(source.get("subdirectory", "")) if source else ""
    if kind in ("directory", "file"):
        return Origin(name, "path", local_path(url, base), _HERE, "", inside, sha256)
    if kind == "git":
        reference = str(source.get("resolved_reference") or source.get("reference", ""))
        return Origin(name, "git", repository_at(url, base), _HERE, reference, inside)
    if kind == "url":
        return Origin(name, "url", url, _HERE, "", inside, sha256)
    if kind == "legacy":
        return Origin(name, "index", url.rstrip("/"), _HERE)
    return Origin(name, "refused", f"{kind} is not supported", _HERE) if kind else None


def _pdm(name: str, package: Table, base: Path) -> Origin | None:
    inside = str(package.get("subdirectory", ""))
    if "path" in package:
        return Origin(name, "path", local_path(str(package["path"]), base), _HERE, "", inside)
    if "git" in package:
        reference = str(package.get("revision") or package.get("ref", ""))
        place = repository_at(str(package["git"]), base)
        return Origin(name, "git", place, _HERE, reference, inside)
    if "url" in package:
        files = [_hash(one.get("hash")) for one in package.get("files", [])]
        sha256 = files[0] if len(files) == 1 else ""
        found = origin_at(name, str(package["url"]), base, _HERE)
        return Origin(
            name, found.kind, found.place, _HERE, "", inside or found.subdirectory, sha256
        )
    other = next((key for key in ("hg", "svn", "bzr") if key in package), "")
    return Origin(name, "refused", f"{other} is not supported", _HERE) if other else None


def _pylock(name: str, package: Table, base: Path) -> Origin | None:
    """PEP 751: `directory`, `vcs` and `archive` are sources, and so are files with a path."""
    one: Table = package.get("directory") or package.get("vcs") or package.get("archive") or {}
    inside = str(one.get("subdirectory", ""))
    if "vcs" in package:
        if one.get("type") != "git":
            return Origin(name, "refused", f"{one.get('type')} is not supported", _HERE)
        reference = str(one.get("commit-id") or one.get("requested-revision", ""))
        place = repository_at(str(one.get("url") or one.get("path", "")), base)
        return Origin(name, "git", place, _HERE, reference, inside)
    if not one:
        files = [*package.get("wheels", []), package.get("sdist", {})]
        one = next((file for file in files if "path" in file and "url" not in file), {})
    sha256 = str(one.get("hashes", {}).get("sha256", ""))
    if "url" in one:
        return Origin(name, "url", str(one["url"]), _HERE, "", inside, sha256)
    if "path" in one:
        return Origin(name, "path", local_path(str(one["path"]), base), _HERE, "", inside, sha256)
    index = str(package.get("index", "")).rstrip("/")
    return Origin(name, "index", index, _HERE) if index else None


_READERS = {"uv.lock": _uv, "pylock.toml": _pylock, "poetry.lock": _poetry, "pdm.lock": _pdm}
