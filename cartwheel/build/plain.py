"""Packs a folder that no back end builds into a wheel, with the requirements that it declares."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.build.chosen import Chosen, choose
from cartwheel.build.declaration import Declaration, declaration_in, refuse_unclear
from cartwheel.build.declared import expanded, index_options, own_terms, unused_tables
from cartwheel.build.index import Access
from cartwheel.build.origins import Origin, TomlFile, normal, origin_of, pyproject, understood
from cartwheel.build.pipfile import pipfile_requirements
from cartwheel.build.refused_line import requirement_lines
from cartwheel.build.requirements_file import Requirements, read_requirements
from cartwheel.build.source import Source
from cartwheel.build.wheel import Metadata, metadata_lines, parsed, write_pure_wheel
from cartwheel.decoded import Fields
from cartwheel.errors import BuildError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_NAME = re.compile(r"[\w.-]+")  # how a requirement begins
VERSION_DIGITS = 12
PLAIN_VERSION = "0.0.0"


@dataclass(frozen=True)
class About:
    """The metadata of a plain folder's wheel."""

    name: str
    version: str = PLAIN_VERSION
    requires: tuple[str, ...] = ()
    python: str = ""
    extras: tuple[str, ...] = ()
    entry_points: dict[str, dict[str, str]] = field(default_factory=dict)

    def metadata(self, version: str) -> list[str]:
        """The lines of METADATA."""
        lines = metadata_lines(self.name, version, self.requires)
        lines += [f"Requires-Python: {self.python}"] if self.python else []
        return [*lines, *(f"Provides-Extra: {extra}" for extra in self.extras)]


def package_plain(source: Source, about: About, folder: Path, chosen: Chosen | None = None) -> Path:
    """Make the wheel of a plain folder in `folder`. Raises BuildError("source").

    Its version is that of the project and a digest of its files and requirements, so a change of
    its tests alone does not make a new version.
    """
    carried = (chosen or choose(source)).carried
    if not any(name.endswith(".py") for name, _ in carried):
        raise BuildError("source", f"{source.path} has no Python file")
    for relative, _ in carried:
        shown = relative.encode("utf-8", "backslashreplace").decode()
        if shown != relative:
            raise BuildError(
                "source",
                f"a wheel cannot contain {shown}: its name is not UTF-8",
                hint="Rename it, or leave it out with app.exclude.",
            )
    files = {
        relative: (path.read_bytes(), bool(path.stat().st_mode & 0o111))
        for relative, path in carried
    }
    digest = _content_digest(files, about)[:VERSION_DIGITS]
    version = f"{about.version}{'.' if '+' in about.version else '+'}g{digest}"
    stem = f"{normal(about.name).replace('-', '_')}-{version}"
    if about.entry_points:
        text = "\n".join(_sections(about.entry_points.items()))
        files[f"{stem}.dist-info/entry_points.txt"] = (text.encode(), False)
    return write_pure_wheel(folder, stem, about.metadata(version), files)


def _content_digest(files: dict[str, tuple[bytes, bool]], about: About) -> str:
    wanted = "\n".join(about.requires)
    more = [about.python, *about.extras, about.entry_points]
    digest = hashlib.sha256(f"{wanted}\0{more}".encode() if any(more) else wanted.encode())
    for name, (content, executable) in sorted(files.items()):
        digest.update(f"\0{name}\0{executable}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def plain_requirements(source: Source, access: Access) -> Requirements:
    """The requirements of a plain folder; those of Poetry only its back end can read.

    Raises BuildError("source", "source-unusable").
    """
    said = source.declaration or Declaration("none", source.path)
    refuse_unclear(said)
    with understood(str(said.path)):
        found = _declared_in(said, access)
    return replace(found, notes=(*said.notes, *found.notes))


def _declared_in(said: Declaration, access: Access) -> Requirements:
    folder = said.path.parent
    if said.kind == "requirements":
        return read_requirements(said.path, access)
    if said.kind == "pipfile":
        return pipfile_requirements(folder)
    if said.kind == "project":
        return _of_project(pyproject(folder))
    if said.kind == "poetry":
        return project_requirements(folder)
    if said.kind == "pylock":
        return Requirements(tuple(_of_pylock(TomlFile(said.path))))
    return Requirements()


def project_requirements(folder: Path) -> Requirements:
    """Requirements in a project's tables that its metadata does not have."""
    constraints, overrides = own_terms(folder)
    return Requirements(
        constraints=constraints,
        overrides=overrides,
        places=requirement_lines(pyproject(folder)),
        indexes=index_options(folder),
        notes=tuple(unused_tables(folder)),
    )


def undeclared_requirements(folder: Path, metadata: Metadata, access: Access) -> Requirements:
    """For a package that declares no requirements: those of a file beside it."""
    said = declaration_in(folder)
    if said is None:
        return Requirements()
    if metadata.requires_dist or said.kind not in ("requirements", "pipfile"):
        return Requirements(notes=tuple(_unread(folder, said)))
    found = plain_requirements(Source("plain", folder, declaration=said), access)
    return replace(found, notes=(f"the package declares no requirements: {said.path.name} does",))


def _unread(folder: Path, said: Declaration) -> Iterator[str]:
    """Notes about files of requirements that the package's own build does not mention."""
    build = "".join(
        (folder / name).read_text(encoding="utf-8", errors="replace")
        for name in ("pyproject.toml", "setup.cfg", "setup.py")
        if (folder / name).is_file()
    )
    for name in ("requirements.txt", "Pipfile"):
        if name in (said.path.name, *said.unused) and name not in build:
            yield f"{name} is not used: the package declares its requirements"


def about_plain(said: Declaration | None, name: str, wanted: Requirements) -> About:
    """The metadata of a plain folder; `name` if its files have no name."""
    if said is None or said.kind != "project":
        return About(_apart(name, wanted), requires=wanted.wanted)
    toml = pyproject(said.path.parent)
    project = toml.at("project")
    extras = toml.at("project", "optional-dependencies")
    with understood(str(toml.path)):
        return About(
            name=_name(toml) if "name" in project else name,
            version=_version(toml),
            requires=wanted.wanted,
            python=_python(toml),
            extras=tuple(sorted(map(normal, extras))),
            entry_points=_entry_points(toml),
        )


def _apart(name: str, wanted: Requirements) -> str:
    """Another name for a folder `datasette` that asks for `datasette`: no package needs itself."""
    taken = {normal(found[0]) for one in wanted.wanted if (found := _NAME.match(one))}
    return f"{name}-app" if normal(name) in taken else name


def _name(toml: TomlFile) -> str:
    name = str(toml.at("project")["name"])
    if not re.fullmatch(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", name, re.ASCII):
        where = toml.where("project", "name")
        raise BuildError(
            "source",
            f"{where}: {name!r} is not a name of a package",
            hint="Use letters, digits, -, _ and dots.",
        )
    return normal(name)


def _python(toml: TomlFile) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    said = str(toml.at("project").get("requires-python", ""))
    try:
        SpecifierSet(said)
    except InvalidSpecifier as error:
        where = toml.where("project", "requires-python")
        raise BuildError(
            "source",
            f"{where}: {said!r} is not a condition for a version (PEP 440)",
            hint='Write requires-python = ">=3.11", for example.',
        ) from error
    return said


def _version(toml: TomlFile) -> str:
    from packaging.version import InvalidVersion, Version

    said = toml.at("project").get("version", PLAIN_VERSION)
    try:
        return str(Version(str(said)))
    except InvalidVersion as error:
        where = toml.where("project", "version")
        raise BuildError("source", f"{where}: {said!r} is not a version (PEP 440)") from error


def _entry_points(toml: TomlFile) -> dict[str, dict[str, str]]:
    project = toml.at("project")
    groups: Fields = {
        "console_scripts": project.get("scripts"),
        "gui_scripts": project.get("gui-scripts"),
        **project.get("entry-points", {}),
    }
    return {group: dict(said) for group, said in groups.items() if said}


def _of_project(toml: TomlFile) -> Requirements:
    """The requirements in [project], with the addresses in them as origins."""
    wanted: list[str] = []
    origins: list[Origin] = []
    for line, condition, where in _lines(toml):
        requirement = parsed(expanded(line, toml.path.parent), where)
        if requirement.url is not None:
            origins.append(origin_of(requirement, toml.path.parent, where))
            requirement.url = None
        wanted.append(_under(condition, requirement))
    more = project_requirements(toml.path.parent)
    return replace(more, wanted=tuple(wanted), origins=tuple(origins))


def _lines(toml: TomlFile) -> Iterator[tuple[str, str, str]]:
    """Each requirement in [project], the condition of its extra, and FILE:LINE."""
    keys: tuple[str, ...] = ("project", "dependencies")
    for number, line in enumerate(toml.at("project").get("dependencies", [])):
        yield str(line), "", toml.where(*keys, number)
    for extra, lines in toml.at("project", "optional-dependencies").items():
        keys = ("project", "optional-dependencies", extra)
        for number, line in enumerate(lines):
            yield str(line), f"extra == '{normal(extra)}'", toml.where(*keys, number)


def _of_pylock(toml: TomlFile) -> Iterator[str]:
    """The names in a lock (PEP 751), whose versions and files are read as those of any lock."""
    for package in toml.tables("packages"):
        marker = package.get("marker")
        yield f"{package.get('name')}" + (f" ; {marker}" if marker else "")


def _under(condition: str, requirement: Requirement) -> str:
    """The requirement with a further condition, if there is one."""
    if not condition:
        return str(requirement)
    marker = f"({requirement.marker}) and {condition}" if requirement.marker else condition
    requirement.marker = None
    return f"{requirement}; {marker}"


def _sections(groups: Iterable[tuple[str, dict[str, str]]]) -> Iterator[str]:
    for group, said in groups:
        yield f"[{group}]"
        yield from (f"{name} = {target}" for name, target in said.items())
        yield ""
