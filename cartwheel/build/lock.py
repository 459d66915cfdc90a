"""Makes one lock with hashes for each platform: all packages of a host except the application."""

from __future__ import annotations

import functools
import hashlib
import json
import platform as machine_facts
import re
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import unquote

from cartwheel.build import store, tool
from cartwheel.build.artifact import app_source, names_files
from cartwheel.build.beside import references, stand_in, written_lines
from cartwheel.build.declared import Terms, declared, own_indexes, terms_for
from cartwheel.build.explain import explain_uv, with_place
from cartwheel.build.index import (
    Access,
    IndexOptions,
    bare,
    credentials_for,
    own_access,
    uv_arguments,
)
from cartwheel.build.locked import Locked, read_locked, read_pipfile_lock
from cartwheel.build.named_indexes import files_in, index_project, is_sdist
from cartwheel.build.order import Order
from cartwheel.build.origins import Origin, is_commit, merged, normal, repository
from cartwheel.build.plain import (
    plain_requirements,
    project_requirements,
    undeclared_requirements,
)
from cartwheel.build.products import Artifact, Lock, Platform
from cartwheel.build.requirements_file import Requirements, read_constraints, read_lines
from cartwheel.build.source import Source
from cartwheel.build.sources import Sources
from cartwheel.build.uv import default_for, uv_program, uv_variables
from cartwheel.build.wheel import Metadata, parsed, read_metadata
from cartwheel.build.workspace import name_in
from cartwheel.errors import BuildError
from cartwheel.events import Emit, Event
from cartwheel.settings.toml_tables import WORKERS

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Settings

STEP = "lock"
RECIPE = 3
RESOLVE_SECONDS = 900.0

# What serves the application when it does not ask for a gunicorn itself: 23.0 is the
# first with both known request-smuggling fixes (CVE-2024-1135, CVE-2024-6827) and the
# last for Python 3.9; newer interpreters get a newer one.
GUNICORN_MINIMUM = "23.0"

# The glibc versions that uv knows as `ARCH-manylinux_2_N` (uv pip compile --help).
_UV_GLIBC_MINORS = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
_UV_MACHINES = ("x86_64", "aarch64")

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(\S+)")
_FILE = re.compile(r"^([A-Za-z0-9][\w.-]*) @ \S*/([^/\s#]+-[^/\s#]+)")
_FROM = "    # from "
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


def lock_for(
    order: Order, artifact: Artifact, platform: Platform, tests_beside: Lock | None = None
) -> Lock:
    """Every package, with hashes, that a host of `platform` needs to serve `artifact`.

    The same inputs give the same lock without asking the index again.
    Versions in the source's own lock file are kept. The application itself is not in the lock and
    is never looked up. Packages with their own source are built here, without private
    files, and are among the lock's wheels. With `tests_beside` the requirements of the tests are
    added, with the versions of that lock. Raises BuildError:
    index-unreachable, index-lacks, lock-conflict, hash-mismatch, wheel-platform, deadline, and
    those of `beside.make`.
    """
    started = time.monotonic()
    settings, state, emit = order.settings, order.state, order.emit
    terms = terms_for(platform, settings.app.extras, tests=tests_beside is not None)
    question, book, said = _asked(order, artifact, platform, terms, tests_beside)
    access = own_access(order.access, said, settings.index, default_for(said))
    label = f"Python {platform.python}, {platform.libc} {platform.libc_version}, {platform.machine}"
    label = f"the tests, {label}" if tests_beside is not None else label
    with store.exclusive(state, STEP, emit):
        answer, known = _settled(question, book, terms, access, state, emit, label)
    text, names = answer["text"], answer["local"]
    seconds = time.monotonic() - started
    detail = f"{len(pins(text)) + len(names)} packages for {label}"
    emit(Event(STEP, "unchanged" if known else "done", detail, seconds=seconds))
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Lock(platform, text, sha256, tuple(book.made[name].artifact for name in names))


def _asked(
    order: Order, artifact: Artifact, platform: Platform, terms: Terms, tests_beside: Lock | None
) -> tuple[Question, Sources, IndexOptions]:
    """The requirements to resolve, the names with their own source, and what is said of indexes."""
    settings, project, access = order.settings, order.project, order.access
    metadata = read_metadata(artifact.wheel)
    own = own_sources(settings, artifact, metadata, project, terms, access)
    asked = [
        read_lines(settings.app.requirements, "app.requirements", project, access),
        read_constraints(access),
    ]
    wanted = (*own.wanted, *asked[0].wanted)
    wanted = wanted_requirements(settings, metadata, wanted, platform)
    pinned: set[str] = set()
    if tests_beside is not None:
        asked.append(read_lines(settings.tests.requirements, "tests.requirements", project, access))
        wanted = (*wanted, *asked[-1].wanted)
        pinned = {f"{name}=={some}" for name, some in pins(tests_beside.text).items()}
    said = [own.requirements, *asked]
    constraints = pinned.union(*(one.constraints for one in said))
    question = Question(
        application=stand_in(artifact, metadata, order.state),
        inputs=(metadata.name, metadata.requires_dist, metadata.requires_python),
        extras=settings.app.extras,
        wanted=wanted,
        constraints=tuple(sorted(constraints)),
        hashes={name: some for one in said for name, some in one.hashes.items()},
        locked=own.locked,
        platform=platform,
        overrides=own.requirements.overrides,
        places={name: where for one in said for name, where in one.places.items()},
    )
    indexes = functools.reduce(IndexOptions.with_more, (one.indexes for one in said))
    origins = {origin.name: origin for one in asked for origin in one.origins}
    privacy = order.privacy(artifact.wheel)
    return question, Sources({**own.origins, **origins}, artifact.name, privacy), indexes


def _settled(
    question: Question,
    book: Sources,
    terms: Terms,
    access: Access,
    state: Path,
    emit: Emit,
    label: str,
) -> tuple[Answer, bool]:
    """The answer, with all its packages built, and whether all of it was known. Built packages may
    have further requirements."""
    known = True
    while True:
        place = _place(state, question, book, access)
        answer = _read(place)
        if answer is None:
            if known:
                emit(Event(STEP, "start", label))
            known = False
            answer = _answer(question, book, access, state, emit)
            store.write_text(place, json.dumps(answer))
        for name, (address, sha256) in answer["files"].items():
            book.found(name, address, sha256, question.places.get(name, address), access)
        needed = book.unmade(answer["local"])
        if not needed:
            return answer, known
        for name in needed:
            book.make(name, access, terms, state=state, emit=emit)


@dataclass(frozen=True)
class Question:
    """The requirements to resolve, without the sources of names."""

    application: Path  # a wheel with the application's requirements
    inputs: tuple[object, ...]  # everything that counts; a change of code alone does not
    extras: tuple[str, ...]
    wanted: tuple[str, ...]
    constraints: tuple[str, ...]
    hashes: dict[str, frozenset[str]]  # the allowed hashes, if the source names them
    locked: Locked
    platform: Platform
    overrides: tuple[str, ...] = ()
    places: dict[str, str] = field(default_factory=dict)  # FILE:LINE by name, for messages

    @property
    def name(self) -> str:
        return str(self.inputs[0])


class Answer(TypedDict):
    """A lock, and the names in it that do not come from an index."""

    text: str
    local: list[str]
    files: dict[str, tuple[str, str]]  # address and SHA-256 by name: only this machine has them


def _place(state: Path, question: Question, book: Sources, access: Access) -> Path:
    """The folder of the answer, named by all its inputs."""
    hashes = [
        {name: sorted(values) for name, values in some.items()}
        for some in (question.hashes, question.locked.hashes)
    ]
    terms = (question.constraints, question.overrides)
    asked = (question.inputs, question.extras, question.wanted, terms, hashes)
    target = _targets(question.platform)
    key = store.key_of(RECIPE, asked, target, access.identity, book.identity)
    return state / "locks" / f"{key}.json"


def _answer(question: Question, book: Sources, access: Access, state: Path, emit: Emit) -> Answer:
    extras = f"[{','.join(question.extras)}]" if question.extras else ""
    application = f"{question.name}{extras} @ {question.application.as_uri()}"
    lines = (application, *question.wanted)
    constraints = (*(one for one in question.constraints if not book.is_made_here(one)), *book.pins)
    resolve = functools.partial(
        compile_lock, lines, constraints, _targets(question.platform), access,
        overrides=(*question.overrides, *book.stand_ins(state)), indexes=book.asked, state=state,
        emit=emit, places=question.places,
    )  # fmt: skip
    resolved = resolve("--emit-index-annotation")
    text, local = _checked(resolved, question, access, book)
    own = {name for name, index in _indexes(resolved).items() if access.is_own(index)}
    asked = {
        name: question.hashes.get(name, frozenset())
        for name in pins(text)
        if name in book.asked or name in own or is_sdist(name, access.no_binary)
    }
    if not asked or book.unmade(local):
        return {"text": text, "local": local, "files": {}}
    found = files_in(resolve("--format", "pylock.toml"), asked, access.no_binary, question.platform)
    here = {name: file for name, file in found.items() if name in own and _only_here(file, access)}
    entries = [one for one in _entries(text) if one.split("==", 1)[0] not in here]
    text = "".join(f"{_from_file(entry, found)}\n" for entry in entries)
    return {"text": text, "local": [*local, *here], "files": here}


def _only_here(file: tuple[str, str], access: Access) -> bool:
    """Whether hosts cannot fetch a file: it is on this machine, or needs a password."""
    address = file[0]
    return address.startswith("file:") or bool(credentials_for(address, access)[0])


def _indexes(text: str) -> dict[str, str]:
    """The index of each package, from uv's comments (`# from URL`) in a lock."""
    found, name = {}, ""
    for line in text.splitlines():
        if pin := _PIN.match(line):
            name = pin[1]
        elif line.startswith(_FROM):
            found[name] = line.removeprefix(_FROM).strip()
    return found


def compile_lock(
    lines: Iterable[str],
    constraints: tuple[str, ...],
    target: tuple[str, ...],
    access: Access,
    *more: str,
    overrides: tuple[str, ...],
    indexes: Mapping[str, Origin],
    state: Path,
    emit: Emit,
    places: Mapping[str, str],
) -> str:
    """`uv pip compile` of requirement `lines`: pip's requirements format with hashes.

    Packages for one index only are named in a project, because uv has no other way to say so.
    """
    variables = uv_variables(access)
    with store.scratch(state) as folder:
        (folder / "requirements.in").write_text("\n".join(lines) + "\n", encoding="utf-8")
        argv = [uv_program(), "pip", "compile", "requirements.in"]
        if indexes:
            (folder / "indexes").mkdir()
            text, credentials = index_project(indexes, access)
            (folder / "indexes" / "pyproject.toml").write_text(text, encoding="utf-8")
            argv.append("indexes/pyproject.toml")
            variables |= credentials
        for option, said in (("--constraint", constraints), ("--override", overrides)):
            if said:
                path = folder / f"{option[2:]}.txt"
                path.write_text("\n".join(said) + "\n", encoding="utf-8")
                argv += [option, path.name]
        argv += ["--generate-hashes", "--no-header", "--no-annotate"]
        argv += ["--python", sys.executable, *target, *uv_arguments(access), *more]
        done = tool.run_tool(
            argv,
            env=variables,
            cwd=folder,
            deadline_seconds=RESOLVE_SECONDS,
            emit=emit,
            step=STEP,
        )
    if done.status != 0:
        raise with_place(explain_uv(done, access), places)
    return done.output_text


def wanted_requirements(
    settings: Settings, metadata: Metadata, asked: tuple[str, ...], platform: Platform
) -> tuple[str, ...]:
    """Requirements in addition to the application's own: those of the settings, and gunicorn."""

    def asks_for(name: str) -> bool:
        return _asks_for(name, (*metadata.requires_dist, *asked), settings.app.extras, platform)

    if settings.gunicorn.worker == WORKERS["uvicorn"] and not asks_for("uvicorn-worker"):
        asked = (*asked, "uvicorn-worker")
    if asks_for("gunicorn"):
        return asked
    return (*asked, f"gunicorn>={GUNICORN_MINIMUM}")


def _asks_for(
    name: str, requirements: Iterable[str], extras: tuple[str, ...], platform: Platform
) -> bool:
    env = terms_for(platform, None).markers
    for line in requirements:
        requirement = parsed(line, "its requirements")
        marker = requirement.marker
        if normal(requirement.name) == name and (
            marker is None or any(marker.evaluate({**env, "extra": one}) for one in ("", *extras))
        ):
            return True
    return False


@dataclass(frozen=True)
class Own:
    """What the application's source says about its requirements."""

    requirements: Requirements
    origins: dict[str, Origin]
    locked: Locked = field(default_factory=Locked)
    wanted: tuple[str, ...] = ()  # in addition to the wheel's metadata


def own_sources(
    settings: Settings,
    artifact: Artifact,
    metadata: Metadata,
    project: Path,
    terms: Terms,
    access: Access,
) -> Own:
    """The versions in the source's own lock file, as constraints, and the sources of packages.

    Reads uv.lock, poetry.lock, pdm.lock, pylock.toml and Pipfile.lock; or the `-c` files, hashes
    and URLs of requirements files. pyproject.toml wins over the lock file, which has the commits.
    """
    source = app_source(settings, project)
    if source.kind == "plain":
        return _plain_sources(source, artifact, metadata, terms, access)
    folder = source.path if source.kind == "project" else source.path.parent
    addressed = references(artifact, folder, f"{source.path}")
    if source.kind != "project":
        project_of = _project_around(folder, metadata.name) if source.kind == "wheel" else None
        beside = _said(project_of, addressed, metadata, terms)[0] if project_of else addressed
        return Own(Requirements(), beside)
    both, locked = _said(source.path, addressed, metadata, terms)
    more = Requirements()
    if not names_files(settings):
        more = undeclared_requirements(source.path, metadata, access)
    for origin in more.origins:
        both = merged(both, {origin.name: origin})
    found = project_requirements(source.path)
    constraints = (*found.constraints, *more.constraints, *locked.constraints)
    indexes = more.indexes if more.indexes.where else found.indexes
    places = {**written_lines(metadata.requires_names, source.path), **found.places, **more.places}
    said = replace(
        more, constraints=constraints, overrides=found.overrides, places=places, indexes=indexes
    )
    return Own(said, both, locked, more.wanted)


def _plain_sources(
    source: Source, artifact: Artifact, metadata: Metadata, terms: Terms, access: Access
) -> Own:
    found = plain_requirements(source, access)
    origins: dict[str, Origin] = {}
    for origin in found.origins:
        origins = merged(origins, {origin.name: origin})
    said = source.declaration
    if said is None or said.kind not in ("project", "poetry", "pylock", "pipfile"):
        return Own(found, origins)
    folder = said.path.parent
    if said.kind == "pipfile":
        locked = read_pipfile_lock(folder)
        both = _with_locked(origins, locked)
    else:
        addressed = {**origins, **references(artifact, folder, str(said.path))}
        both, locked = _said(folder, addressed, metadata, terms)
    constraints = (*found.constraints, *locked.constraints)
    return Own(replace(found, constraints=constraints), both, locked)


def _project_around(folder: Path, name: str) -> Path | None:
    """The project that a wheel was built from, if it is inside the project (as in `dist/`)."""
    return next((one for one in (folder, *folder.parents) if name_in(one) == name), None)


def _said(
    folder: Path, addressed: dict[str, Origin], metadata: Metadata, terms: Terms
) -> tuple[dict[str, Origin], Locked]:
    others = {one.url for one in own_indexes(folder) if not one.is_default}
    locked = read_locked(folder, others)
    names = {*locked.names, *metadata.requires_names}
    said = {**addressed, **declared(folder, terms, names)}
    return _with_locked(said, locked), locked


def _with_locked(said: Mapping[str, Origin], locked: Locked) -> dict[str, Origin]:
    return {**locked.origins, **{name: _locked(one, locked) for name, one in said.items()}}


def _locked(origin: Origin, locked: Locked) -> Origin:
    """Keep a branch or tag at the commit in the lock file."""
    known = locked.origins.get(origin.name)
    if known is None or origin.kind != "git" or known.kind != "git":
        return origin
    same = repository(known.place) == repository(origin.place)
    stays = same and not is_commit(origin.reference) and is_commit(known.reference)
    return replace(origin, reference=known.reference) if stays else origin


def _targets(platform: Platform) -> tuple[str, ...]:
    """uv's arguments for a platform; none for the operator's own platform if uv has no name."""
    version = ("--python-version", platform.python)
    if platform.libc not in ("glibc", "musl"):
        return version
    if platform.machine not in _UV_MACHINES:
        if platform.machine == machine_facts.machine():
            return version
        raise BuildError(
            "wheel-platform",
            f"a lock for {platform.machine} can only be made on such a machine",
            hint=f"Run Cartwheel on a {platform.machine} machine.",
        )
    if platform.libc == "musl":
        return (*version, "--python-platform", f"{platform.machine}-unknown-linux-musl")
    minor = int(platform.libc_version.split(".")[1])
    fitting = [known for known in _UV_GLIBC_MINORS if known <= minor]
    if not fitting:
        raise BuildError("wheel-platform", f"glibc {platform.libc_version} is too old for wheels")
    return (*version, "--python-platform", f"{platform.machine}-manylinux_2_{fitting[-1]}")


def pins(text: str) -> dict[str, str]:
    """name -> version of every package in a lock."""
    return {name: version for name, (version, _hashes) in hashed_pins(text).items()}


def hashed_pins(text: str) -> dict[str, tuple[str, str]]:
    """name -> version and hashes of every package in a lock."""
    return {
        pin[0]: (pin[1], " ".join(sorted(_HASH.findall(entry))))
        for entry in _entries(text)
        if (pin := _pin(entry)) is not None
    }


def _pin(line: str) -> tuple[str, str] | None:
    """NAME==VERSION, or NAME @ URL of a file with the version in its name."""
    found = _PIN.match(line)
    if found:
        return found[1], found[2].rstrip("\\").strip()
    file = _FILE.match(line)
    if file is None:
        return None
    last = unquote(file[2])
    version = last.split("-")[1] if last.endswith(".whl") else last.rpartition("-")[2]
    return file[1], re.sub(r"\.(tar\.gz|zip|tgz)$", "", version)


def _checked(text: str, question: Question, access: Access, book: Sources) -> tuple[str, list[str]]:
    """The lock without the application and packages with their own source, and the names of these
    packages; every package in the lock has a hash that the source allows."""
    kept, local = [], []
    for entry in _entries(text):
        pin = _PIN.match(entry)
        name = pin[1] if pin else re.split(r"[\s@\[]", entry, maxsplit=1)[0]
        if name == question.name:
            continue
        if book.is_made_here(name):
            local.append(name)
            continue
        hashes = _HASH.findall(entry)
        if not pin or not hashes:
            raise BuildError(
                "lock-conflict",
                f"{entry.splitlines()[0].rstrip(' ;')} has no version and hash to lock",
                hint="Name its source in the project, so that it is built here.",
            )
        said = question.hashes.get(name) or hashes
        known = question.locked.hashes.get(name) or hashes
        if not set(hashes) & set(said) or not set(hashes) & set(known):
            index = bare(book.asked[name].place) if name in book.asked else access.name
            file = question.locked.file or "requirements.txt"
            version = pin[2].rstrip("\\")
            message = f"the files of {pin[1]}=={version} on {index} differ from {file}"
            raise with_place(BuildError("hash-mismatch", message), question.places)
        hashes = [found for found in hashes if found in said]
        head = entry.split("--hash", 1)[0].rstrip(" \\\n")
        kept.append(_entry(head, hashes))
    return "\n".join(kept) + "\n" if kept else "", local


def _entry(head: str, hashes: Iterable[str]) -> str:
    return " \\\n".join([head, *(f"    --hash={found}" for found in hashes)])


def _from_file(entry: str, found: Mapping[str, tuple[str, str]]) -> str:
    """The entry of a package for one index only, with the URL of its file: hosts then use no index
    for it."""
    name = entry.split("==", 1)[0]
    if name not in found:
        return entry
    url, sha256 = found[name]
    return _entry(f"{name} @ {url}", [f"sha256:{sha256}"])


def _entries(text: str) -> list[str]:
    joined = text.replace("\\\n", "\0")
    lines = [
        line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    return [line.replace("\0", "\\\n") for line in lines]


def _read(place: Path) -> Answer | None:
    try:
        found: Answer = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found
