"""What a plan changes on its host, as text: packages, settings, variables, units, files; pure.

Cartwheel's own records of a release (hashes, manifest, marks) are not compared.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartwheel.build.lock import hashed_pins
from cartwheel.host.wire.manifest import PLACED
from cartwheel.plan.host_plan import HostPlan
from cartwheel.plan.making import Making
from cartwheel.plan.processes import ProcessChange

NO_FILE = "/dev/null"
"""Stands in a diff for a missing file."""

# A release's own files hold its name everywhere; only other differences matter.
_ANY_RELEASE = "RELEASE"
_LOCK = "lock.txt"
# The packages show it better; and an earlier version's units differ only by their slot, so the
# first one stands for all.
_NOT_SHOWN = re.compile(re.escape(_LOCK) + r"|web-[b-z]\.service")

if TYPE_CHECKING:
    from cartwheel.host.wire.compare import Present
    from cartwheel.host.wire.facts import Release
    from cartwheel.host.wire.timer import Timer


@dataclass(frozen=True)
class Changed:
    """Names with their change: `+` added, `-` removed, `~` changed."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def marked(self) -> list[str]:
        return [
            *(f"+ {name}" for name in self.added),
            *(f"- {name}" for name in self.removed),
            *(f"~ {name}" for name in self.changed),
        ]


@dataclass(frozen=True)
class TimerChange:
    """A timer whose schedule changes, "" where it is not there. `following`: its next run, in
    seconds since the epoch."""

    name: str
    before: str
    after: str
    following: float | None = None


@dataclass(frozen=True)
class Differences:
    """Everything that would be different after the plan. `files`: the application's files of
    configuration. `starts`, `stops` and `draining` (asked to stop before) are units, `processes`
    the same for each process besides web. `diffs` are unified diffs of the files that a person
    writes or reads."""

    packages: Changed = Changed()
    python: str = ""
    settings: Changed = Changed()
    variables: Changed = Changed()
    files: Changed = Changed()
    starts: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    draining: tuple[str, ...] = ()
    processes: tuple[ProcessChange, ...] = ()
    timers: tuple[TimerChange, ...] = ()
    diffs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Content:
    """The compared parts of a release. `packages` are versions, each with the hashes that
    distinguish files of the same version."""

    packages: Mapping[str, tuple[str, str]]
    python: str
    variables: Mapping[str, str]  # name -> keyed digest
    placed: Mapping[str, str]  # name -> keyed digest
    files: Mapping[str, str]

    @property
    def secret_files(self) -> set[str]:
        """The application's files whose texts no plan shows."""
        return {f"{PLACED}/{name}" for name in self.placed} - self.files.keys()


def wanted(plan: HostPlan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths of shared files and the releases to ask the host for."""
    releases = tuple(name for name in (plan.current, plan.release) if name)
    return tuple(sorted(_shared_files(plan))), releases


def differences(
    plan: HostPlan,
    present: Present,
    releases: Mapping[str, Release],
    starts: tuple[str, ...],
    settings: Mapping[str, str] | None,
    processes: tuple[ProcessChange, ...] = (),
) -> Differences:
    """Compare the host now with the host after the plan. `releases`: those on it, by name.
    `starts`: the new instances' units. `settings`: those that the live release was deployed with,
    if known. `processes`: what happens to each."""
    if plan.switch is None:
        return Differences()
    before, after = (_known(name, present, releases) for name in (plan.current, plan.release))
    if plan.making is not None:
        after = _made(plan.release, plan.making)
    shared = _shared_files(plan)
    secret = before.secret_files | after.secret_files
    return Differences(
        packages=_packages(before, after),
        python=f"{before.python} -> {after.python}" if _other_python(before, after) else "",
        settings=_settings(settings, plan.switch.settings),
        variables=_by_value(before.variables, after.variables),
        files=_by_value(before.placed, after.placed),
        starts=starts,
        stops=present.running,
        draining=present.stopping,
        processes=processes,
        diffs=(
            *_diffs(_without(secret, before.files), _without(secret, after.files)),
            *_diffs({path: present.files[path] for path in shared}, shared),
        ),
    )


def timer_changes(present: Present, after: Mapping[str, Timer]) -> tuple[TimerChange, ...]:
    """The timers that come, go, or get another schedule."""
    before, then = (
        {name: one.key for name, one in some.items()} for some in (present.timers, after)
    )
    return tuple(
        TimerChange(name, before.get(name, ""), then.get(name, ""), present.following.get(name))
        for name in sorted({*before, *then})
        if before.get(name) != then.get(name)
    )


def _shared_files(plan: HostPlan) -> dict[str, str | None]:
    """Files outside releases that the plan writes, or removes (None)."""
    site = plan.switch.site_changes if plan.switch else {}
    return {**site, **(plan.host_files or {})}


# -- the two releases


def _known(name: str | None, present: Present, releases: Mapping[str, Release]) -> Content:
    """A release on the host; an empty one if the host does not have it."""
    release = releases.get(name or "")
    if name is None or release is None:
        return Content({}, "", {}, {}, {})
    texts = present.releases.get(name, {})
    return Content(
        packages=_with_application(
            texts.get(_LOCK, ""), release.name, release.version, release.wheel_sha256
        ),
        python=_python(*release.python) if release.python else "",
        variables=release.variables,
        placed=release.placed,
        files=_comparable(name, texts),
    )


def _made(release: str, making: Making) -> Content:
    """The release that the plan makes."""
    application, lock = making.packages.application, making.packages.lock
    return Content(
        packages=_with_application(
            lock.text.rstrip() + "\n" + lock.text_beside,
            application.name,
            application.version,
            application.wheel_sha256,
        ),
        python=_python(making.python.path, making.python.version),
        variables={name: digest for name, (_source, digest) in making.noted.items()},
        placed=making.placed_digests,
        files=_comparable(release, {**making.files, **_open_texts(making)}),
    )


def _open_texts(making: Making) -> dict[str, str]:
    """The texts of the application's files that hold no secret."""
    return {
        f"{PLACED}/{name}": one.content.reveal()
        for name, one in making.placed.items()
        if not one.secret
    }


def _with_application(
    lock: str, name: str, version: str, sha256: str
) -> dict[str, tuple[str, str]]:
    own = {name: (version, sha256)} if name else {}
    return {**hashed_pins(lock), **own}


def _python(path: str, version: str) -> str:
    return f"{path} {version}"


def _comparable(release: str | None, texts: Mapping[str, str]) -> dict[str, str]:
    """Make two releases' files comparable: without the release's own name."""
    return {
        name: text.replace(release, _ANY_RELEASE) if release else text
        for name, text in texts.items()
        if not _NOT_SHOWN.fullmatch(name)
    }


# -- how they differ


def _packages(before: Content, after: Content) -> Changed:
    old, new = before.packages, after.packages
    found = _by_value(old, new)
    return Changed(
        tuple(f"{name} {new[name][0]}" for name in found.added),
        tuple(f"{name} {old[name][0]}" for name in found.removed),
        tuple(_other_package(name, old[name][0], new[name][0]) for name in found.changed),
    )


def _other_package(name: str, old: str, new: str) -> str:
    return f"{name} {old} -> {new}" if old != new else f"{name} {new}, from other files"


def _other_python(before: Content, after: Content) -> bool:
    return bool(before.python) and before.python != after.python


def _settings(before: Mapping[str, str] | None, after: Mapping[str, str] | None) -> Changed:
    return Changed() if before is None or after is None else _by_value(before, after)


def _by_value(before: Mapping[str, object], after: Mapping[str, object]) -> Changed:
    """The changes by name; a changed secret shows in its keyed digest."""
    return Changed(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        tuple(name for name in sorted(before.keys() & after.keys()) if before[name] != after[name]),
    )


def _without(names: Collection[str], texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if name not in names}


def _diffs(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name) or "", after.get(name) or ""
        if old != new:
            yield "".join(_unified(name, old, new))


def _unified(name: str, old: str, new: str) -> Iterator[str]:
    """A unified diff; a missing file counts as empty."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True),
        new.splitlines(keepends=True),
        name if old else NO_FILE,
        name if new else NO_FILE,
    )
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n"
