"""One lock with hashes for each platform: everything that a host gets besides the application."""

from __future__ import annotations

import platform as machine_facts
import re
import sys
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.build import store, tool
from cartwheel.build.explain import explain_uv
from cartwheel.build.index import Access, access_for
from cartwheel.build.model import Artifact, Lock, Platform
from cartwheel.build.plain import Requirements, plain_requirements
from cartwheel.build.source import find_source
from cartwheel.build.uv import uv_program, uv_variables
from cartwheel.build.wheel import Metadata, read_metadata
from cartwheel.errors import BuildError
from cartwheel.events import Emit, Event
from cartwheel.hidden import Hidden

if TYPE_CHECKING:
    from cartwheel.settings.model import Settings

STEP = "lock"
RECIPE = 1
RESOLVE_SECONDS = 900.0

# What serves the application when it does not ask for a gunicorn itself: 23.0 is the
# first with both known request-smuggling fixes (CVE-2024-1135, CVE-2024-6827) and the
# last for Python 3.9; newer interpreters get a newer one.
GUNICORN_MINIMUM = "23.0"

# The glibc versions that uv knows as `ARCH-manylinux_2_N` (uv pip compile --help).
_UV_GLIBC_MINORS = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
_UV_MACHINES = ("x86_64", "aarch64")

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(\S+)")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


def lock_for(
    settings: Settings,
    artifact: Artifact,
    platform: Platform,
    project: Path,
    *,
    state: Path,
    emit: Emit,
    index_password: Hidden | None = None,
    refresh: bool = False,
) -> Lock:
    """Every package, with hashes, that a host of `platform` needs to serve `artifact`.

    The same inputs give the same lock without asking the index again, unless `refresh`.
    Versions that the source's own lock file pins are kept. The application itself is
    not in it and is never looked up. Raises BuildError: index-unreachable,
    index-lacks, lock-conflict, hash-mismatch, wheel-platform, deadline.
    """
    started = time.monotonic()
    access = access_for(settings.index, index_password)
    metadata = read_metadata(artifact.wheel)
    own = own_pins(settings, project)
    wanted = wanted_requirements(settings, metadata, platform)
    constraints = tuple(sorted(own.constraints))
    target = _targets(platform)
    inputs = (metadata.name, metadata.requires_dist, metadata.requires_python, settings.app.extras)
    hashes = {name: sorted(values) for name, values in own.hashes.items()}
    key = store.key_of(RECIPE, inputs, wanted, constraints, hashes, target, access.identity)
    place = state / "locks" / f"{key}.txt"
    label = f"Python {platform.python}, {platform.libc} {platform.libc_version}, {platform.machine}"
    with store.exclusive(state, STEP, emit):
        text = None if refresh else _read(place)
        known = text is not None
        if text is None:
            emit(Event(STEP, "start", label))
            lines = (_application(artifact, settings.app.extras), *wanted)
            text = compile_lock(lines, constraints, target, access, state=state, emit=emit)
            text = _checked(text, artifact.name, own.hashes, access)
            store.write_text(place, text)
    seconds = time.monotonic() - started
    detail = f"{len(pins(text))} packages for {label}"
    emit(Event(STEP, "unchanged" if known else "done", detail, seconds=seconds))
    return Lock(platform, text, _sha256(text))


def compile_lock(
    lines: Iterable[str],
    constraints: tuple[str, ...],
    target: tuple[str, ...],
    access: Access,
    *,
    state: Path,
    emit: Emit,
) -> str:
    """`uv pip compile` of requirement `lines`: pip's requirements format with hashes."""
    with store.scratch(state) as folder:
        (folder / "requirements.in").write_text("\n".join(lines) + "\n", encoding="utf-8")
        argv = [uv_program(), "pip", "compile", "requirements.in"]
        if constraints:
            (folder / "constraints.txt").write_text("\n".join(constraints), encoding="utf-8")
            argv += ["-c", "constraints.txt"]
        argv += ["--generate-hashes", "--no-header", "--no-annotate"]
        argv += ["--python", sys.executable, *target]
        done = tool.run_tool(
            argv,
            env=uv_variables(access),
            cwd=folder,
            deadline_seconds=RESOLVE_SECONDS,
            emit=emit,
            step=STEP,
        )
    if done.returncode != 0:
        raise explain_uv(done, access)
    return done.output


def wanted_requirements(
    settings: Settings, metadata: Metadata, platform: Platform
) -> tuple[str, ...]:
    """What is locked besides the application's own requirements."""
    asked = tuple(settings.app.requirements)
    if _asks_for("gunicorn", (*metadata.requires_dist, *asked), settings.app.extras, platform):
        return asked
    return (*asked, f"gunicorn>={GUNICORN_MINIMUM}")


def _asks_for(
    name: str, requirements: Iterable[str], extras: tuple[str, ...], platform: Platform
) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    minor = ".".join(platform.python.split(".")[:2])
    for line in requirements:
        try:
            requirement = Requirement(line)
        except InvalidRequirement as error:
            raise BuildError("source", f"{line!r} is not a requirement: {error}") from error
        if canonicalize_name(requirement.name) != name:
            continue
        env = {"python_version": minor, "python_full_version": platform.python}
        marker = requirement.marker
        if marker is None or any(
            marker.evaluate({**env, "extra": extra}) for extra in ("", *extras)
        ):
            return True
    return False


def own_pins(settings: Settings, project: Path) -> Requirements:
    """The versions that the source's own lock file names, as constraints.

    uv.lock, poetry.lock, pdm.lock and pylock.toml are understood; of a plain folder's
    requirements.txt its `-c` files and its hashes. A name with several versions (one
    per platform) is left to the resolver.
    """
    source = find_source(settings.app.source, project)
    if source.kind == "plain":
        return plain_requirements(source.path)
    constraints: dict[str, set[str]] = {}
    if source.kind == "project":
        for name in ("uv.lock", "pylock.toml", "poetry.lock", "pdm.lock"):
            if (source.path / name).is_file():
                constraints = _locked(source.path / name)
                break
    lines = tuple(f"{name}=={min(found)}" for name, found in constraints.items() if len(found) == 1)
    return Requirements((), lines, {}, ())


def _locked(path: Path) -> dict[str, set[str]]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BuildError("source", f"{path}: {error}") from error
    found: dict[str, set[str]] = {}
    for package in table.get("package", table.get("packages", [])):
        name, version = package.get("name"), package.get("version")
        source = package.get("source", {})
        # The project itself, and what comes from a path or a repository, is no pin.
        local = isinstance(source, dict) and set(source) & {
            "editable",
            "virtual",
            "directory",
            "path",
            "git",
            "url",
            "type",
        }
        if name and version and not local:
            found.setdefault(name, set()).add(version)
    return found


def _application(artifact: Artifact, extras: tuple[str, ...]) -> str:
    names = f"[{','.join(extras)}]" if extras else ""
    return f"{artifact.name}{names} @ {artifact.wheel.absolute().as_uri()}"


def _targets(platform: Platform) -> tuple[str, ...]:
    """uv's arguments for a platform; none for the operator's own kind where uv has no name."""
    version = ("--python-version", platform.python)
    if platform.libc not in ("glibc", "musl"):
        return version
    if platform.machine not in _UV_MACHINES:
        if platform.machine == machine_facts.machine():
            return version
        raise BuildError(
            "wheel-platform",
            f"a lock for {platform.machine} can be made on such a machine only",
            hint=f"Run Cartwheel on a {platform.machine} machine.",
        )
    if platform.libc == "musl":
        return (*version, "--python-platform", f"{platform.machine}-unknown-linux-musl")
    minor = int(platform.libc_version.split(".")[1])
    fitting = [known for known in _UV_GLIBC_MINORS if known <= minor]
    if not fitting:
        raise BuildError("wheel-platform", f"glibc {platform.libc_version} is too old for wheels")
    return (*version, "--python-platform", f"{platform.machine}-manylinux_2_{fitting[-1]}")


def operator_platform() -> Platform:
    """This machine, as a platform. `libc` is the system's name where it is not Linux."""
    libc, version = machine_facts.libc_ver()
    if sys.platform == "linux":
        libc = "glibc" if libc == "glibc" else "musl"
    else:
        libc, version = sys.platform, ""
    return Platform(machine_facts.python_version(), libc, version or "1.2", machine_facts.machine())


def pins(text: str) -> dict[str, str]:
    """name -> version of every package in a lock."""
    found = (_PIN.match(line) for line in text.splitlines())
    return {match[1]: match[2].rstrip("\\").strip() for match in found if match}


def _checked(
    text: str, application: str, allowed: dict[str, frozenset[str]], access: Access
) -> str:
    """The lock without the application; every package has a hash that the source allows."""
    kept = []
    for entry in _entries(text):
        pin = _PIN.match(entry)
        name = pin[1] if pin else re.split(r"[\s@\[]", entry, maxsplit=1)[0]
        if name == application:
            continue
        hashes = _HASH.findall(entry)
        if not pin or not hashes:
            raise BuildError(
                "lock-conflict",
                f"{entry.splitlines()[0].rstrip(' ;')} has no version and hash to lock",
                hint="Only packages from an index can be locked: publish it there, or build it into the application.",
            )
        if name in allowed:
            hashes = [found for found in hashes if found in allowed[name]]
            if not hashes:
                raise BuildError(
                    "hash-mismatch",
                    f"{access.name} has other files of {pin[1]}=={pin[2].rstrip(chr(92))} than requirements.txt allows",
                )
        head = entry.split("--hash", 1)[0].rstrip(" \\\n")
        kept.append(" \\\n".join([head, *(f"    --hash={found}" for found in hashes)]))
    return "\n".join(kept) + "\n" if kept else ""


def _entries(text: str) -> list[str]:
    joined = text.replace("\\\n", "\0")
    lines = [
        line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    return [line.replace("\0", "\\\n") for line in lines]


def _read(place: Path) -> str | None:
    try:
        return place.read_text(encoding="utf-8")
    except OSError:
        return None


def _sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()
