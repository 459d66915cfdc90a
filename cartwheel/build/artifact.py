"""Builds the application's wheel, ready to upload."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from cartwheel.build import store, tool
from cartwheel.build.chosen import Chosen, choose
from cartwheel.build.commit import commit_of
from cartwheel.build.declaration import Declaration
from cartwheel.build.declared import declared, terms_for
from cartwheel.build.explain import explain_build, explain_pip
from cartwheel.build.index import (
    Access,
    ignored_indexes,
    local_pip_environment,
    own_access,
)
from cartwheel.build.order import Order
from cartwheel.build.origins import local_path, normal, pyproject
from cartwheel.build.pip_wheel import pip_wheel
from cartwheel.build.plain import (
    About,
    about_plain,
    package_plain,
    plain_requirements,
    project_requirements,
    undeclared_requirements,
)
from cartwheel.build.poetry import write_stand_in
from cartwheel.build.private import Privacy, check_wheel
from cartwheel.build.products import Artifact, operator_platform
from cartwheel.build.requirements_file import Requirements, names_file, read_lines
from cartwheel.build.source import (
    Files,
    Source,
    back_end_to_add,
    copy_source,
    find_source,
    source_digest,
)
from cartwheel.build.uv import default_for, uv_program, uv_variables
from cartwheel.build.wheel import (
    EPOCH_SECONDS,
    is_reference,
    normalise_wheel,
    read_metadata,
    requirement_name,
    verify_wheel,
)
from cartwheel.errors import BuildError
from cartwheel.events import Emit, Event
from cartwheel.process_env import of_tools

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Settings

STEP = "build"
_READY = {"wheel": "wheel", "index": "download"}  # the step where nothing is built
RECIPE = 4  # a change of how wheels are made makes old ones unusable
BUILD_SECONDS = 900.0
DOWNLOAD_SECONDS = 600.0


def build_app(order: Order) -> Artifact:
    """The application's wheel: made, checked or downloaded, once for each content of its source.

    The user's own folder is never written to. Raises BuildError: source, build-failed,
    wheel-corrupt, private-file, index-unreachable, index-lacks, deadline.
    """
    settings, access = order.settings, order.access
    source = app_source(settings, order.project)
    wanted = _requirements(source, access)
    asked = read_lines(settings.app.requirements, "app.requirements", order.project, access)
    indexes = wanted.indexes.with_more(asked.indexes)
    artifact = build_source(
        source,
        settings.app.name,
        own_access(access, indexes, settings.index, default_for(indexes)),
        order.privacy(source.path),
        state=order.state,
        emit=order.emit,
        label=settings.app.source,
        entry=settings.app.entry,
        wanted=wanted,
    )
    for note in _notes(settings, source, artifact, (wanted, asked), access):
        order.emit(Event(STEP, "note", note))
    return replace(artifact, commit=commit_of(source.path)) if source.is_folder else artifact


def _requirements(source: Source, access: Access) -> Requirements:
    """The requirements in the source's own files, before it is built."""
    if source.kind == "plain":
        return plain_requirements(source, access)
    return project_requirements(source.path) if source.kind == "project" else Requirements()


def _notes(
    settings: Settings,
    source: Source,
    artifact: Artifact,
    read: tuple[Requirements, ...],
    access: Access,
) -> Iterator[str]:
    """Everything in the source that is not used, or that a person may not expect."""
    if source.kind == "project" and not names_files(settings):
        metadata = read_metadata(artifact.wheel)
        read = (*read, undeclared_requirements(source.path, metadata, access))
    for one in read:
        yield from one.notes
        where = one.indexes.where.rpartition("/")[2]
        for url in ignored_indexes(access, one.indexes, settings.index):
            yield f"{where}: {url} is ignored: the settings name an index"


def names_files(settings: Settings) -> bool:
    """Whether the settings name requirements files, which then replace those of the source."""
    return any(map(names_file, settings.app.requirements))


def app_source(settings: Settings, project: Path) -> Source:
    """The application's source; requirements files that the settings name replace those of a plain
    folder. Raises BuildError("source")."""
    source = find_source(settings.app.source, project)
    if source.kind == "plain" and names_files(settings):
        return replace(source, declaration=Declaration("settings", source.path))
    return source


def build_source(
    source: Source,
    name: str,
    access: Access,
    privacy: Privacy,
    *,
    state: Path,
    emit: Emit,
    label: str,
    entry: str = "",
    wanted: Requirements | None = None,
) -> Artifact:
    """The wheel of any source, once for each content; `name`, `entry` and `wanted` are for a plain
    folder. Raises as `build_app`."""
    started, step = time.monotonic(), _READY.get(source.kind, STEP)
    emit(Event(step, "start", label))
    wanted = wanted or Requirements()
    chosen = choose(source, privacy, entry) if source.is_folder else Chosen(())
    for note in chosen.notes:
        emit(Event(step, "note", note))
    digest = _input_digest(source, name, access, chosen, wanted)
    place = state / "artifacts" / digest
    with store.exclusive(state, step, emit):
        known = _known(place)
        if known is not None:
            check_wheel(known.wheel, privacy)
        else:
            with store.scratch(state) as folder:
                wheel, references = (
                    _packed(source, name, access, chosen, wanted, folder, emit)
                    if source.kind == "plain"
                    else _make(source, access, chosen, folder, state, emit)
                )
                metadata = verify_wheel(wheel)
                check_wheel(wheel, privacy)
                ready = folder / "ready"
                ready.mkdir()
                shutil.copyfile(wheel, ready / wheel.name)
                record: dict[str, object] = {"name": metadata.name, "version": metadata.version}
                record["wheel"], record["references"] = wheel.name, references
                record["sha256"] = store.sha256_of(ready / wheel.name)
                record["source_digest"] = digest
                store.write_text(ready / "artifact.json", json.dumps(record))
                shutil.rmtree(place, ignore_errors=True)
                store.adopt(ready, place)
    artifact = known or _known(place)
    if artifact is None:
        raise BuildError("build-failed", f"{place} was removed while it was built")
    seconds = time.monotonic() - started
    emit(Event(step, "unchanged" if known else "done", artifact.wheel.name, seconds=seconds))
    return replace(artifact, left_out=tuple(one.name for one in chosen.left_out))


def leaves_files_out(settings: Settings, project: Path) -> bool:
    """Whether the app's wheel is made of a plain folder, of which files may be left out."""
    try:
        return find_source(settings.app.source, project).kind == "plain"
    except BuildError:
        return False  # there is no source, which `build_app` reports


def _input_digest(
    source: Source, name: str, access: Access, chosen: Chosen, wanted: Requirements
) -> str:
    tools: tuple[object, ...] = (RECIPE, sys.version_info[:2])
    if source.kind == "plain":
        # The requirements may be in files elsewhere, and the carried names depend on the entry.
        declared_in = source.declaration.content if source.declaration else ""
        names = [inside for inside, _ in chosen.carried]
        tools = (*tools, name, wanted.wanted, declared_in, names)
    elif chosen.carried:
        tools = (*tools, [inside for inside, _ in chosen.carried])
    if source.kind == "index":
        return store.key_of("index", source.name, source.version, access.identity, tools)
    if source.kind == "wheel":
        return store.key_of("wheel", RECIPE, source.path.name, store.sha256_of(source.path))
    return store.key_of(source.kind, source_digest(source, chosen.build), tools)


def _known(place: Path) -> Artifact | None:
    try:
        record = json.loads((place / "artifact.json").read_text(encoding="utf-8"))
        wheel = place / record["wheel"]
        if store.sha256_of(wheel) != record["sha256"]:
            return None
        return Artifact(
            record["name"],
            record["version"],
            wheel,
            record["sha256"],
            record["source_digest"],
            tuple(record["references"]),
        )
    except (OSError, ValueError, KeyError):
        return None


def _packed(
    source: Source,
    name: str,
    access: Access,
    chosen: Chosen,
    wanted: Requirements,
    folder: Path,
    emit: Emit,
) -> tuple[Path, list[str]]:
    """The wheel of a plain folder, and the direct references in its requirements."""
    about, found = about_plain(source.declaration, name, wanted), list[str]()
    if source.declaration is not None and source.declaration.kind == "poetry":
        about, found = _by_poetry(source.declaration.path.parent, name, access, folder, emit)
    return package_plain(source, about, folder, chosen), found


def _by_poetry(
    project: Path, name: str, access: Access, folder: Path, emit: Emit
) -> tuple[About, list[str]]:
    """The metadata by Poetry's back end of a project that Poetry does not install."""
    above = folder / "above"
    copy = above.joinpath(*project.parts[1:])
    copy.mkdir(parents=True)
    write_stand_in(pyproject(project), copy)
    try:
        built, references = _build(copy, project, access, folder, emit)
    except BuildError as error:
        if not error.message.startswith(str(project)):
            error.message = f"{pyproject(project).where('tool', 'poetry')}: {error.message}"
        raise
    said = read_metadata(built)
    own = about_plain(Declaration("project", project / "pyproject.toml"), name, Requirements())
    named = "name" in pyproject(project).at("tool", "poetry")
    about = replace(
        own,
        name=said.name if named else own.name,
        version=said.version if named else own.version,
        requires=said.requires_dist,
        python=said.requires_python or own.python,
        extras=said.extras,
    )
    return about, [_relative(one, above, project) for one in references]


def _make(
    source: Source,
    access: Access,
    chosen: Chosen,
    folder: Path,
    state: Path,
    emit: Emit,
) -> tuple[Path, list[str]]:
    """The wheel, and the direct references in its requirements."""
    if source.kind == "wheel":
        return source.path, _given_references(source.path)
    if source.kind == "index":
        found = _download(source, access, folder, state, emit)
        if found.suffix == ".whl":
            return found, _given_references(found)
        return _build(found, source.path.with_name(found.name), access, folder, emit)
    _refuse_build_sources(source.path)
    # The copy is at the source's real path below its folder: so addresses that a back end makes
    # from relative ones can be told from absolute ones, and mapped back to the source.
    above = folder / "above"
    copy = copy_source(source, above.joinpath(*source.path.parts[1:]), chosen.build)
    if more := back_end_to_add(copy):
        (copy / "pyproject.toml").write_text(more, encoding="utf-8")
    built, found_references = _build(copy, source.path, access, folder, emit, chosen.carried)
    return built, [_relative(one, above, source.path) for one in found_references]


def _given_references(wheel: Path) -> list[str]:
    return [line for line in read_metadata(wheel).requires_dist if is_reference(line)]


def _refuse_build_sources(folder: Path) -> None:
    """Refuse build requirements with their own source: they cannot be built here first, and must
    not be taken from an index instead. uv asks an index that the project names as a source.
    """
    toml = pyproject(folder)
    said = declared(folder, terms_for(operator_platform(), None))
    own = {normal(name) for name in toml.at("tool", "uv", "sources")}
    for line in toml.at("build-system").get("requires", []):
        origin = None if is_reference(line) else said.get(requirement_name(line))
        if origin is not None and not (origin.kind == "index" and origin.name in own):
            raise origin.refusal(
                f"it has its own source; build requirements of {folder.name} must be on an index"
            )


def _relative(reference: str, above: Path, folder: Path) -> str:
    """The reference relative to the source's folder: wheels are kept by content, not by place."""
    from packaging.requirements import Requirement

    requirement = Requirement(reference)
    address = requirement.url or ""
    if not address.lower().startswith("file:"):
        return reference
    path = Path(local_path(address, folder))
    if above not in path.parents:
        return reference
    real = Path("/", *path.relative_to(above).parts)
    requirement.url = f"file:{quote(os.path.relpath(real, folder))}"
    return str(requirement)


def _build(
    what: Path, source: Path, access: Access, folder: Path, emit: Emit, more: Files = ()
) -> tuple[Path, list[str]]:
    """Build a copy of the folder `source`, or an sdist, in an isolated environment, and normalise
    the wheel; files that it lacks are added from `more`."""
    out = folder / "out"
    argv = [uv_program(), "build", "--wheel", "--out-dir", str(out), "--no-create-gitignore"]
    argv += ["--no-index"] if access.no_index else []
    argv += ["--python", sys.executable, str(what)]
    env = {**uv_variables(access), "SOURCE_DATE_EPOCH": str(EPOCH_SECONDS)}
    done = tool.run_tool(
        argv, env=env, cwd=folder, deadline_seconds=BUILD_SECONDS, emit=emit, step=STEP
    )
    wheels = list(out.glob("*.whl")) if out.is_dir() else []
    if done.status != 0 or len(wheels) != 1:
        raise explain_build(done, access, what, source)
    normal = folder / "normal"
    normal.mkdir()
    return normalise_wheel(wheels[0], normal, more)


def _download(source: Source, access: Access, folder: Path, state: Path, emit: Emit) -> Path:
    """NAME==VERSION from the index: its wheel for this machine, else its sdist."""
    out = folder / "download"
    out.mkdir()
    pip = pip_wheel(state, emit, access=access)
    argv = [sys.executable, f"{pip}/pip", "download", "--no-deps"]
    argv += ["--ignore-requires-python", "--dest", str(out), f"{source.name}=={source.version}"]
    env = of_tools(local_pip_environment(access))
    done = tool.run_tool(
        argv, env=env, cwd=folder, deadline_seconds=DOWNLOAD_SECONDS, emit=emit, step="download"
    )
    files = list(out.iterdir())
    if done.status != 0 or len(files) != 1:
        raise explain_pip(done, access, f"{source.name}=={source.version}")
    return files[0]
