"""Builds packages with their own source: a folder, a file, a repository, a download."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from cartwheel.build import store
from cartwheel.build.artifact import build_source
from cartwheel.build.declared import Terms, declared
from cartwheel.build.fetched import fetched
from cartwheel.build.index import Access
from cartwheel.build.origins import Origin, TomlFile, normal, origin_of, pyproject
from cartwheel.build.private import Privacy
from cartwheel.build.products import Artifact
from cartwheel.build.source import Source
from cartwheel.build.wheel import (
    Metadata,
    asked_for,
    metadata_lines,
    platform_tags,
    write_pure_wheel,
)
from cartwheel.errors import BuildError
from cartwheel.events import Emit


@dataclass(frozen=True)
class Made:
    """The wheel of one origin, and the sources of its own requirements."""

    artifact: Artifact
    origins: dict[str, Origin]


def make(
    origin: Origin, access: Access, terms: Terms, privacy: Privacy, *, state: Path, emit: Emit
) -> Made:
    """Build the package at `origin`, once for each content, as a pure wheel of its name.

    Raises BuildError: source-unusable, not-pure, git-source, and the errors of building; each
    names the line of the requirement.
    """
    label = f"{origin.name} from {origin.text}"
    try:
        with fetched(origin, access, emit) as (path, top):
            source = _source(origin, path, state)
            artifact = build_source(
                source, "", access, privacy, state=state, emit=emit, label=label
            )
            folder = path if path.is_dir() else path.parent
            found = references(artifact, folder, origin.where)
            if path.is_dir():
                found = {**found, **declared(path, terms)}
            _check(origin, source, artifact, terms)
            return Made(artifact, _from_outside(found, origin, top))
    except BuildError as error:
        if not error.message.startswith(origin.where):
            error.message = f"{origin.where}: {origin.name}: {error.message}"
        raise


def references(artifact: Artifact, folder: Path, where: str) -> dict[str, Origin]:
    """The sources in a wheel's own requirements. `where` is the line that requires the wheel; its
    folder's pyproject.toml may have a better one."""
    from packaging.requirements import Requirement

    found: dict[str, Origin] = {}
    for line in artifact.references:
        requirement = Requirement(line)
        name = normal(requirement.name)
        found[name] = origin_of(requirement, folder, _address_line(name, folder) or where)
    return found


def _address_line(name: str, folder: Path) -> str:
    return _line_of(name, folder, ("pyproject.toml", "setup.cfg", "setup.py"), "[^#]*@")


def written_lines(names: Iterable[str], folder: Path) -> dict[str, str]:
    """FILE:LINE of requirements that a back end reads in files other than pyproject.toml."""
    found = {name: _line_of(name, folder, _WRITTEN) for name in names}
    return {name: where for name, where in found.items() if where}


_WRITTEN = ("setup.cfg", "setup.py", "requirements.txt")


def _line_of(name: str, folder: Path, files: Iterable[str], then: str = "") -> str:
    """FILE:LINE of a requirement in a project's files."""
    pattern = rf"(?<![\w.-]){name.replace('-', '[-_.]+')}(?![\w-]){then}"
    wanted = re.compile(pattern, re.IGNORECASE)
    for file in files:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            lines = (folder / file).read_text(encoding="utf-8").splitlines()
            for number, line in enumerate(lines, 1):
                if wanted.search(line):
                    return f"{folder / file}:{number}"
    return ""


def _source(origin: Origin, path: Path, state: Path) -> Source:
    if path.is_file():
        if path.suffix != ".whl":
            raise origin.refusal(f"{path.name} is neither a wheel nor an archive of a project")
        return Source("wheel", path)
    toml = pyproject(path)
    is_package = origin.is_package and toml.at("tool", "uv").get("package") is not False
    if not is_package:
        return Source("wheel", _only_requirements(origin, toml, state))
    builds = toml.at("project") or toml.at("build-system")
    if not builds and not any((path / name).is_file() for name in ("setup.py", "setup.cfg")):
        raise origin.refusal(f"{path} has neither pyproject.toml nor setup.py")
    return Source("project", path)


def _only_requirements(origin: Origin, toml: TomlFile, state: Path) -> Path:
    """A wheel without code, for a project that is not a package (`package = false`)."""
    project = toml.at("project")
    version = str(project.get("version", "0"))
    lines = metadata_lines(origin.name, version, project.get("dependencies", []))
    return bare_wheel(origin.name, version, lines, state)


def bare_wheel(name: str, version: str, metadata: list[str], state: Path) -> Path:
    """A pure wheel that holds nothing but its METADATA, kept by content."""
    from packaging.utils import canonicalize_version

    clean = str(canonicalize_version(version, strip_trailing_zero=False))
    stem = f"{name.replace('-', '_')}-{clean}"
    path = state / "bare" / store.key_of(metadata) / f"{stem}-py3-none-any.whl"
    if not path.is_file():
        with store.scratch(state) as folder:
            made = write_pure_wheel(folder, stem, metadata, {})
            path.parent.mkdir(parents=True, exist_ok=True)
            made.replace(path)
    return path


def stand_in(artifact: Artifact, metadata: Metadata, state: Path) -> Path:
    """A wheel with the same requirements as another one, without their addresses."""
    python = metadata.requires_python
    lines = metadata_lines(artifact.name, artifact.version, map(asked_for, metadata.requires_dist))
    lines += [f"Requires-Python: {python}"] if python else []
    lines += [f"Provides-Extra: {extra}" for extra in metadata.extras]
    return bare_wheel(artifact.name, artifact.version, lines, state)


def _check(origin: Origin, source: Source, artifact: Artifact, terms: Terms) -> None:
    from packaging.tags import Tag
    from packaging.utils import parse_wheel_filename

    if artifact.name != origin.name:
        raise origin.refusal(f"{origin.text} is a different package, {artifact.name}")
    tags = parse_wheel_filename(artifact.wheel.name)[3]
    # A wheel that we build here fits this machine; a given wheel may fit the host's.
    given = platform_tags(terms.platform) if source.kind == "wheel" else frozenset()
    if not tags & {Tag("py3", "none", "any"), *given}:
        made = f"{origin.text} builds {artifact.wheel.name}, which is not a py3-none-any wheel"
        raise origin.refusal(made, "not-pure")


def _from_outside(found: dict[str, Origin], origin: Origin, top: Path | None) -> dict[str, Origin]:
    """Fetched folders are removed afterwards, so name sources by their origin."""
    return {name: _reachable(one, origin, top) for name, one in found.items()}


def _reachable(one: Origin, origin: Origin, top: Path | None) -> Origin:
    if top is None or one.kind != "path":
        return one
    path = Path(one.place)
    where = f"{origin.where} ({Path(one.where).name})"
    if path != top and top not in path.parents:
        return replace(one, kind="refused", place=f"it is outside of {origin.text}", where=where)
    inside = str(path.relative_to(top))
    return replace(
        origin, name=one.name, subdirectory=inside, where=where, is_package=one.is_package
    )
