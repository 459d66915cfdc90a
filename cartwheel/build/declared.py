"""Sources of packages in a project's own files: tables of uv, Poetry and PDM, and workspaces."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cartwheel.build.declaration import is_for_development
from cartwheel.build.index import IndexOptions
from cartwheel.build.origins import (
    Origin,
    TomlFile,
    from_tables,
    local_path,
    normal,
    origin_at,
    origin_of,
    pyproject,
    repository_at,
)
from cartwheel.build.products import Platform
from cartwheel.build.wheel import is_reference
from cartwheel.build.workspace import Workspace, workspace_of
from cartwheel.decoded import Table

Make = Callable[[Table, str], Origin | None]


@dataclass(frozen=True)
class Terms:
    """What conditions of sources are checked against. `extras` None: all count."""

    markers: Mapping[str, str]
    platform: Platform
    extras: frozenset[str] | None = None
    groups: bool = False  # uv: `group = "dev"`; only tests may mean one

    def hold(self, entry: Table) -> bool:
        """Whether the conditions of a source are true."""
        return (
            self._marker(entry.get("marker") or entry.get("markers"))
            and self._platform(entry.get("platform"))
            and self._python(entry.get("python"))
            and (self.groups or "group" not in entry)
            and ("extra" not in entry or self.extras is None or entry["extra"] in self.extras)
        )

    def _marker(self, text: object) -> bool:
        from packaging.markers import InvalidMarker, Marker

        try:
            return not text or Marker(str(text)).evaluate(dict(self.markers))
        except InvalidMarker:
            return True  # the package manager that reads it reports the mistake

    def _platform(self, text: object) -> bool:
        return not text or text == self.markers["sys_platform"]

    def _python(self, text: object) -> bool:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            return not text or SpecifierSet(str(text)).contains(self.markers["python_full_version"])
        except InvalidSpecifier:
            return True  # Poetry's own ^ and ~: of several sources, the first


def terms_for(platform: Platform, extras: Iterable[str] | None, *, tests: bool = False) -> Terms:
    """The conditions of an installation on `platform` (environment markers: PEP 508)."""
    linux = platform.libc in ("glibc", "musl")
    system = {"darwin": "Darwin", "win32": "Windows"}.get(platform.libc, platform.libc)
    return Terms(
        {
            "implementation_name": "cpython",
            "implementation_version": platform.python,
            "os_name": "posix",
            "platform_machine": platform.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux" if linux else system,
            "python_full_version": platform.python,
            "python_version": ".".join(platform.python.split(".")[:2]),
            "sys_platform": "linux" if linux else platform.libc,
            "extra": "",
        },
        platform,
        None if extras is None else frozenset(extras),
        tests,
    )


@from_tables
def declared(folder: Path, terms: Terms, names: Iterable[str] = ()) -> dict[str, Origin]:
    """The sources in the project in `folder`, and in its workspace.

    `names` are matched with PDM's patterns. A source may be an index; if no condition is true, a
    package is left to the default index only if all its sources are indexes.
    """
    toml = pyproject(folder)
    workspace = workspace_of(folder)
    return {
        **_members(workspace),
        **_groups(pyproject(workspace.root), workspace.root),
        **_groups(toml, folder),
        **_pdm(toml, folder, names),
        **_poetry(toml, folder, terms),
        **_uv(folder, workspace, terms),
    }


@dataclass(frozen=True)
class OwnIndex:
    """An index that a project names."""

    url: str
    where: str  # FILE:LINE
    is_default: bool  # for all names
    only_for_sources: bool  # only for names whose source says so


TOOL_UV = ("tool", "uv")


@dataclass(frozen=True)
class UvSettings:
    """uv's settings, in uv.toml or else in [tool.uv], which uv then ignores."""

    file: TomlFile
    keys: tuple[str, ...]

    @property
    def table(self) -> Table:
        """The settings."""
        return self.file.at(*self.keys)

    def where(self, *keys: str | int) -> str:
        """FILE:LINE of a setting."""
        return self.file.where(*self.keys, *keys)


def uv_settings(folder: Path) -> UvSettings:
    """The settings that uv reads for the project in `folder`, or for its workspace."""
    root = workspace_of(folder).root
    own = TomlFile(root / "uv.toml")
    return UvSettings(own, ()) if own.table else UvSettings(pyproject(root), TOOL_UV)


@from_tables
def own_indexes(folder: Path) -> list[OwnIndex]:
    """The indexes of the project in `folder` and of its workspace."""
    files = [pyproject(one) for one in dict.fromkeys((folder, workspace_of(folder).root))]
    uv, found = uv_settings(folder), list[OwnIndex]()
    for toml in files:
        for one in _uv_indexes(UvSettings(toml, TOOL_UV)):
            found.append(one if uv.keys else replace(one, only_for_sources=True))
        found += _own_indexes(toml)
    found = found if uv.keys else [*_uv_indexes(uv), *found]
    return [one for one in found if one.url]


@from_tables
def index_options(folder: Path) -> IndexOptions:
    """The index for all names that the project in `folder` sets."""
    settings = uv_settings(folder)
    uv = settings.table
    general = [one for one in own_indexes(folder) if not one.only_for_sources]
    url = next((one.url for one in general if one.is_default), str(uv.get("index-url", "")))
    others = [one.url for one in general if one.url != url]
    found = IndexOptions(
        url=url,
        extra_urls=(*others, *uv.get("extra-index-url", [])),
        find_links=tuple(_link(str(one), folder) for one in uv.get("find-links", [])),
        no_index=uv.get("no-index") is True,
        pre=uv.get("prerelease") == "allow",
        no_binary=_packages(uv, "no-binary"),
        only_binary=_packages(uv, "no-build"),
        in_order=bool(uv.get("index")),
    )
    if replace(found, in_order=False) == IndexOptions():
        return IndexOptions()
    where = next((one.where for one in general), settings.where())
    return replace(found, where=where)


def _link(place: str, folder: Path) -> str:
    return place if "://" in place else local_path(place, folder)


@from_tables
def own_terms(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(constraints, overrides) of the project in `folder`: uv's, of its workspace's root, and PDM's
    overrides. Those with an address are sources (`declared`)."""
    toml = pyproject(workspace_of(folder).root)
    uv = toml.at("tool", "uv")
    pdm = pyproject(folder).at("tool", "pdm", "resolution", "overrides")
    overrides = [str(line) for line in uv.get("override-dependencies", [])]
    for name, version in pdm.items():
        if "://" not in str(version) and not str(version).startswith("file:"):
            overrides.append(f"{name}{'' if str(version)[:1] in '<>=!~' else '=='}{version}")
    constraints = [str(line) for line in uv.get("constraint-dependencies", [])]
    return (
        tuple(line for line in constraints if not is_reference(line)),
        tuple(line for line in overrides if not is_reference(line)),
    )


# uv's options that change what is installed, and that Cartwheel does not pass on. With a uv.lock
# those of the first line have done their work.
_RESOLVING = ("resolution", "fork-strategy", "exclude-newer", "exclude-newer-package")
_UNUSED = (
    *("exclude-dependencies", "build-constraint-dependencies", "dependency-metadata"),
    *("index-strategy", "no-build-isolation", "no-build-isolation-package", "torch-backend"),
    *("extra-build-dependencies", "config-settings", "config-settings-package", "no-sources"),
)


@from_tables
def unused_tables(folder: Path) -> list[str]:
    """Notes about settings of the project's installation that are not used."""
    toml, uv = pyproject(folder), uv_settings(folder)
    keys = _UNUSED if (folder / "uv.lock").is_file() else (*_RESOLVING, *_UNUSED)
    found = [f"{_short(uv.where(key))}: {key} is not used" for key in keys if key in uv.table]
    groups = {
        name: toml.where(*keys, name)
        for keys in (("dependency-groups",), ("tool", "poetry", "group"))
        for name in toml.at(*keys)
        if not is_for_development(name)
    }
    return [
        *found,
        *(f"{_short(at)}: the group {name} is not installed" for name, at in groups.items()),
    ]


def _short(where: str) -> str:
    return where.rpartition("/")[2]


def _packages(uv: Table, switch: str) -> tuple[str, ...]:
    """uv's no-binary and no-build, as pip's options say it."""
    names = tuple(map(str, uv.get(f"{switch}-package", [])))
    return (":all:",) if uv.get(switch) is True else names


def _uv_indexes(settings: UvSettings) -> Iterator[OwnIndex]:
    for number, one in enumerate(settings.file.tables(*settings.keys, "index")):
        is_default, only = bool(one.get("default")), bool(one.get("explicit"))
        yield OwnIndex(_url(one), settings.where("index", number), is_default, only)


def _own_indexes(toml: TomlFile) -> Iterator[OwnIndex]:
    """Those of Poetry and PDM."""
    for number, one in enumerate(toml.tables("tool", "poetry", "source")):
        priority = one.get("priority", "secondary" if one.get("secondary") else "primary")
        is_default, only = priority in ("primary", "default"), priority == "explicit"
        yield OwnIndex(_url(one), toml.where("tool", "poetry", "source", number), is_default, only)
    for number, one in enumerate(toml.tables("tool", "pdm", "source")):
        is_default, only = one.get("name") == "pypi", "include_packages" in one
        url = os.path.expandvars(_url(one))
        yield OwnIndex(url, toml.where("tool", "pdm", "source", number), is_default, only)


def _url(index: Table) -> str:
    return str(index.get("url", "")).rstrip("/")


def _members(workspace: Workspace) -> dict[str, Origin]:
    """Every member of a workspace is a source, even if uv's table of sources does not name it."""
    where = pyproject(workspace.root).where("tool", "uv", "workspace")
    found = workspace.members.items()
    return {name: Origin(name, "path", str(folder), where) for name, folder in found}


def _chosen(name: str, entries: object, make: Make, terms: Terms, where: str) -> Origin | None:
    several = entries if isinstance(entries, list) else [entries]
    known = [entry for entry in several if isinstance(entry, dict)]
    for entry in known:
        if terms.hold(entry):
            return make(entry, where)
    made = [origin for entry in known if (origin := make(entry, where)) is not None]
    if any(origin.is_local for origin in made):
        return Origin(name, "refused", "no source is for this platform", where)
    return None


# --- uv -----------------------------------------------------------------------------------


def _uv(folder: Path, workspace: Workspace, terms: Terms) -> dict[str, Origin]:
    """The root's sources apply to its members, unless a member names its own."""
    files = {base: pyproject(base) for base in (workspace.root, folder)}
    named = [table for toml in files.values() for table in toml.tables(*TOOL_UV, "index")]
    if not (settings := uv_settings(folder)).keys:
        named += settings.file.tables("index")
    known = {one.get("name"): one for one in named}
    found: dict[str, Origin] = {}
    for base, toml in files.items():
        for key, entries in toml.at("tool", "uv", "sources").items():
            name = normal(key)
            make = partial(_uv_source, name, base=base, workspace=workspace, indexes=known)
            origin = _chosen(name, entries, make, terms, toml.where("tool", "uv", "sources", key))
            found.pop(name, None)
            if origin is not None:
                found[name] = origin
    return found


def _uv_source(
    name: str,
    entry: Table,
    where: str,
    *,
    base: Path,
    workspace: Workspace,
    indexes: Mapping[object, Table],
) -> Origin | None:
    if entry.get("workspace"):
        folder = workspace.members.get(name)
        if folder is None:
            return Origin(name, "refused", "it is not a member of a workspace", where)
        return Origin(name, "path", str(folder), where)
    if "path" in entry:
        package = entry.get("package", True) is not False
        return replace(_path(name, entry, base, where), is_package=package)
    if "git" in entry or "url" in entry:
        return _remote(name, entry, base, where)
    if "index" in entry:
        index = indexes.get(entry["index"], {})
        layout = str(index.get("format", ""))
        return replace(_index(name, _url(index), entry["index"], where), reference=layout)
    return None


def _path(name: str, entry: Table, base: Path, where: str) -> Origin:
    path = local_path(str(entry.get("path") or entry.get("file")), base)
    return Origin(name, "path", path, where, "", str(entry.get("subdirectory", "")))


def _index(name: str, url: str, called: object, where: str) -> Origin:
    if not url:
        return Origin(name, "refused", f"there is no index {called!r}", where)
    if not url.startswith(("http:", "https:")):
        return Origin(name, "refused", f"hosts cannot use the index {url}", where)
    return Origin(name, "index", url, where)


def _remote(name: str, entry: Table, base: Path, where: str) -> Origin:
    inside = str(entry.get("subdirectory", ""))
    if "git" in entry:
        said = (entry.get(key) for key in ("rev", "tag", "branch"))
        reference = str(next((one for one in said if one), ""))
        place = repository_at(str(entry["git"]).removeprefix("git+"), base)
        return Origin(name, "git", place, where, reference, inside)
    found = origin_at(name, str(entry["url"]), base, where)
    return Origin(name, found.kind, found.place, where, found.reference, inside, found.sha256)


# --- Poetry -------------------------------------------------------------------------------


def _poetry(toml: TomlFile, folder: Path, terms: Terms) -> dict[str, Origin]:
    groups = toml.at("tool", "poetry", "group")
    every = [
        *(("tool", "poetry", "group", name, "dependencies") for name in groups),
        ("tool", "poetry", "dev-dependencies"),
        ("tool", "poetry", "dependencies"),
    ]
    known = {
        str(one.get("name")).lower(): _url(one) for one in toml.tables("tool", "poetry", "source")
    }
    found: dict[str, Origin] = {}
    for keys in every:
        for key, entries in toml.at(*keys).items():
            name = normal(key)
            make = partial(_poetry_source, name, folder=folder, sources=known)
            origin = _chosen(name, entries, make, terms, toml.where(*keys, key))
            if origin is not None:
                found[name] = origin
    return found


def _poetry_source(
    name: str, entry: Table, where: str, *, folder: Path, sources: Mapping[str, str]
) -> Origin | None:
    if "path" in entry or "file" in entry:
        return _path(name, entry, folder, where)
    if "git" in entry or "url" in entry:
        return _remote(name, entry, folder, where)
    source = str(entry.get("source", ""))
    if not source or (source.lower() == "pypi" and "pypi" not in sources):
        return None
    return _index(name, sources.get(source.lower(), ""), source, where)


# --- PDM, and groups of requirements --------------------------------------------------------


def _pdm(toml: TomlFile, folder: Path, names: Iterable[str]) -> dict[str, Origin]:
    found: dict[str, Origin] = {}
    for number, source in enumerate(toml.tables("tool", "pdm", "source")):
        where = toml.where("tool", "pdm", "source", number)
        patterns = [normal(str(one)) for one in source.get("include_packages", [])]
        exact = {pattern for pattern in patterns if not set("*?[") & set(pattern)}
        for name in exact | {normal(one) for one in names}:
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                found.setdefault(name, Origin(name, "index", _url(source), where))
    keys = ("tool", "pdm", "resolution", "overrides")
    for key, value in toml.at(*keys).items():
        if isinstance(value, str) and ("://" in value or value.startswith("file:")):
            address = expanded(value, folder)
            found[normal(key)] = origin_at(key, address, folder, toml.where(*keys, key))
    return found


_REQUIREMENTS = ("override-dependencies", "constraint-dependencies", "dev-dependencies")


def _groups(toml: TomlFile, folder: Path) -> dict[str, Origin]:
    """Direct references in groups of requirements, which are not in a wheel's metadata."""
    places = [("tool", "uv", key) for key in _REQUIREMENTS]
    for keys in (("dependency-groups",), ("tool", "pdm", "dev-dependencies")):
        places += [(*keys, group) for group in toml.at(*keys)]
    found: dict[str, Origin] = {}
    for keys in places:
        lines = toml.at(*keys[:-1]).get(keys[-1], [])
        for number, line in enumerate(lines if isinstance(lines, list) else ()):
            if isinstance(line, str):
                where = toml.where(*keys, number)
                origin = _direct(expanded(line, folder), folder, where)
                if origin is not None and origin.name:
                    found[origin.name] = origin
    return found


def _direct(line: str, folder: Path, where: str) -> Origin | None:
    """The source of a requirement with an address; None for any other line."""
    from packaging.requirements import InvalidRequirement, Requirement

    if line.startswith("-e "):
        return origin_at("", line[len("-e ") :], folder, where)
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return None
    return origin_of(requirement, folder, where) if requirement.url else None


def expanded(line: str, folder: Path) -> str:
    """Expand PDM's variable for the project's folder in addresses."""
    return line.replace("file:///${PROJECT_ROOT}", folder.as_uri())
