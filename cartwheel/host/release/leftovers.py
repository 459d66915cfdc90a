"""Leftovers of interrupted runs on a host: find them and remove them.

`find` only reads, and `clean` removes only what it finds. A leftover has a name that only Cartwheel
gives, in a place that Cartwheel uses, and the form that Cartwheel gives it; everything else there
belongs to somebody else. The live release, its fallback, the releases of a pending switch, and
instances that are stopping are not leftovers.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from cartwheel.host import layout
from cartwheel.host.layout import Layout
from cartwheel.host.process import instances, timers
from cartwheel.host.release import downloads, trial
from cartwheel.host.state import assignment, pending, releases, sides
from cartwheel.host.system import files, locks, systemd
from cartwheel.host.web import certbot, kinds, lineages, tls, tls_change

_HOST_SIDE = re.compile(r"[0-9a-f]{16}")  # runtime.digest

# context.scratch_prefix, prepare.tool: the number is the process's.
_IN_TMP = re.compile(r"cartwheel-[a-z]+-(\d+)-")
_SCRATCH = (
    (Path("/tmp"), _IN_TMP),
    (Path("/var/tmp"), _IN_TMP),
    *((folder, re.compile(r"\.new-(\d+)-")) for folder in (layout.PIP, layout.UV)),
)

_FOLDERS = "releases|cache|shared|balancer|assignments|locks|stopped|timers|tls|acme-webroot"
_FOLDERS += "|maintenance"

SWITCH = "unfinished switch"
DOWN = "down, and should serve"
INSTANCE = "stray instance"
FAILED = "failed unit"
TRIAL = "trial of a release"
UNIT_FILE = "stray unit file"
TIMER = "stray timer"
RELEASE = "half release"
REMOVED = "half removed"
WHEEL = "unneeded wheel"
TEMPORARY = "temporary file"
SPARE = "spare link"
ASSIGNMENT = "unneeded assignment"
CERTIFICATE = "unneeded certificate"
CHALLENGE = "answer to a challenge"
PAGES = "pages of no maintenance"
RUNTIME = "runtime directory"
HOST_SIDE = "old host side"
SCRATCH = "scratch folder"
INSTALLER = "folder of a killed installer"

# What the deploy under way may go on with.
_PREPARED = (RELEASE, WHEEL)
_UNFINISHED = (SWITCH, DOWN)

Say = Callable[[str], None]
Found = Iterator["Leftover"]


@dataclass(frozen=True)
class Leftover:
    """One leftover: `what` is a path, a unit, or the release of a switch."""

    kind: str
    what: str

    @property
    def text(self) -> str:
        return f"{self.kind}: {self.what}"

    @property
    def path(self) -> Path:
        return Path(self.what)


def find(at: Layout) -> List[Leftover]:
    """All leftovers of this application. Changes nothing. While a session is at work, what it is
    making looks like a leftover."""
    if not at.root.exists():
        return []
    known = _Known(at)
    finders = (_unfinished, _units, _releases, _removed, _wheels, _temporary, _spares)
    more = (_assignments, _certificates, _pages, _runtime, _host_sides, _scratch, _installers)
    return [one for finder in (*finders, *more) for one in finder(at, known)]


def is_unfinished(found: List[Leftover]) -> bool:
    """Whether there is more to do than to remove something: see `recover.settle`."""
    return any(one.kind in _UNFINISHED for one in found)


def clean(
    at: Layout, say: Say, found: Optional[List[Leftover]] = None, *, preparing: bool = False
) -> List[str]:
    """Remove what was `found` (by default: what is found now), except an unfinished switch; returns
    what was removed.

    The caller holds the lock. While `preparing`, an incomplete release and its wheel stay: the
    deploy may continue with them.
    """
    spared = (*_UNFINISHED, *(_PREPARED if preparing else ()))
    done: List[str] = []
    for one in find(at) if found is None else found:
        if one.kind in spared:
            continue
        try:
            _TAKE_AWAY.get(one.kind, _unlink)(at, one)
        except OSError as error:  # a leftover must not prevent a deploy
            say(f"could not remove {one.text}: {error.strerror}")
            continue
        done.append("removed " + one.text)
        say(done[-1])
    return done


# --- finding ------------------------------------------------------------------------------


class _Known:
    """The facts that the finders share."""

    def __init__(self, at: Layout) -> None:
        self.units = systemd.units(at)
        running = self.units.running
        self.running = set(running)
        self.stopping = {one for one in running if running[one] == systemd.STOPPING}
        self.pending = pending.look(at)
        self.serving = releases.serving(at)
        mark = self.pending
        # The instances that may run.
        self.wanted = set(sides.live(at))
        self.wanted |= set(sides.wanted(at, (*mark.new_side, *mark.old_side))) if mark else set()
        self.safe = releases.protected(at, self.units)
        self.names = set(releases.names(at))


def _unfinished(at: Layout, known: _Known) -> Found:
    if known.pending is not None:
        yield Leftover(SWITCH, "to {}, never confirmed".format(known.pending.to or "?"))
        return
    if known.serving and releases.pointed(at.fallback) != known.serving.release:
        yield Leftover(SWITCH, f"to {known.serving.release}, not closed")
    for one in [] if at.stopped.exists() else sides.live(at):
        if known.units.active.get(one) not in systemd.RUNNING:
            yield Leftover(DOWN, at.unit(one))
    yield from (Leftover(DOWN, at.timer_unit(name).name) for name in timers.down(at))


def _units(at: Layout, known: _Known) -> Found:
    stray = known.running - known.stopping - known.wanted
    yield from (Leftover(INSTANCE, at.unit(one)) for one in sorted(stray))
    needed = known.wanted | known.running
    wanted = {at.unit(one) for one in needed}
    yield from (Leftover(FAILED, unit) for unit in known.units.failed if unit not in wanted)
    yield from (Leftover(TRIAL, str(path)) for path in trial.left(at))
    of = (
        known.names
        | {one.release for one in needed}
        | {release for _name, release in known.units.jobs}
    )
    for path, release in releases.unit_files(at).items():
        if release not in of:
            yield Leftover(UNIT_FILE, str(path))
    if known.pending is None:
        yield from (Leftover(TIMER, at.timer_unit(name).name) for name in timers.stray(at))


def _releases(at: Layout, known: _Known) -> Found:
    for name in releases.leftovers(at):
        if name not in known.safe:
            kind = REMOVED if name.startswith(files.GONE) else RELEASE
            yield Leftover(kind, str(at.release(name)))


def _removed(at: Layout, known: _Known) -> Found:
    """Releases whose removal has begun: they are renamed already."""
    app = re.escape(at.app)
    folders = (
        (at.root, re.compile(_FOLDERS)),
        (at.tls, tls.SET),
        (at.acme_webroot, re.compile(re.escape(certbot.CHALLENGES))),
        (lineages.top(), lineages.HOME),
        *((home / name, re.compile(app)) for home in lineages.homes() for name in lineages.FOLDERS),
        (at.cache / "wheels", releases.DIGEST),
        (layout.LIB, re.compile(app)),
        (at.lib, _HOST_SIDE),
        (layout.LOGS, re.compile(app)),
        (layout.RUN, re.compile(r"(\.balancer\.)?" + app)),
        (layout.RUN / at.app, releases.NAME),
    )
    for folder, ours in folders:
        for name in files.names(folder):
            if name.startswith(files.GONE) and ours.fullmatch(name[len(files.GONE) :]):
                yield Leftover(REMOVED, str(folder / name))


def _wheels(at: Layout, known: _Known) -> Found:
    for wheel in releases.unwanted_wheels(at):
        yield Leftover(WHEEL, str(wheel))


def _temporary(at: Layout, known: _Known) -> Found:
    """Temporary files of killed writers, next to the file that they wrote."""
    ours = (at.record, at.boot_unit, at.log_rotation, at.balancer_tmpfiles)
    for file in (*ours, *kinds.files_of(at)):
        yield from (Leftover(TEMPORARY, str(path)) for path in files.left_beside(file))
    places: List[Tuple[Path, str]] = [
        (at.root, ".*"),
        (at.balancer, ".*"),
        (at.assignments, ".*"),
        (at.stopped_processes, ".*"),
        (at.logs, ".*"),
        (layout.UNITS, rf"cartwheel-{re.escape(at.app)}\.({layout.UNIT_FILE.pattern})"),
        (layout.UNITS, rf"cartwheel-{re.escape(at.app)}_(timer|job|tls)\..*"),
        (at.tls, ".*"),
        (at.maintenance, ".*"),
        *((at.tls / name, ".*") for name in tls.sets(at)),
        *(
            (folder / name, ".*")
            for folder in (at.timers, at.outputs)
            for name in files.names(folder)
        ),
        *((at.release(name), ".*") for name in sorted(known.names)),
        *((at.cache / "wheels" / name, ".*") for name in files.names(at.cache / "wheels")),
        *((Path(folder), ".*") for folder, _folders, _files in os.walk(at.lib)),
    ]
    for folder, of in places:
        yield from (Leftover(TEMPORARY, str(path)) for path in files.left_in(folder, of))
    # Shared by all applications: a writer may be at work.
    for default in (kind.default_site for kind in kinds.KINDS):
        for path in files.left_in(default.parent, re.escape(default.name)):
            if not _runs(path.name.rpartition("-")[2]):
                yield Leftover(TEMPORARY, str(path))


def _spares(at: Layout, known: _Known) -> Found:
    if known.pending is not None:
        return  # the mark keeps them for this purpose
    links = (at.current, at.fallback, at.previous, at.assigned)
    for link in (*links, *(at.socket_link(name) for name in sorted(known.names))):
        if files.spare(link).is_symlink():
            yield Leftover(SPARE, str(files.spare(link)))


def _assignments(at: Layout, known: _Known) -> Found:
    mark = known.pending
    needed = (mark.was_assigned, mark.to_assigned) if mark else ()
    yield from (Leftover(ASSIGNMENT, str(path)) for path in assignment.unneeded(at, needed))


def _certificates(at: Layout, known: _Known) -> Found:
    """Sets of a certificate and its key that nothing names any more, and what certbot shows an
    authority while it asks for one: it asks only under the application's lock."""
    if certbot.is_cut_off(at):
        yield Leftover(CHALLENGE, str(certbot.challenges(at)))
    yield from (Leftover(CERTIFICATE, str(at.tls / name)) for name in tls_change.unneeded(at))


def _pages(at: Layout, known: _Known) -> Found:
    """What was prepared for maintenance, or is still there after it."""
    if files.is_folder(at.maintenance) and not at.maintenance_mark.exists():
        yield Leftover(PAGES, str(at.maintenance))


def _runtime(at: Layout, known: _Known) -> Found:
    """Runtime directories of releases: systemd removes only an instance's own directory."""
    needed = known.names | {one.release for one in known.running | known.wanted}
    for name in files.names(layout.RUN / at.app):
        if releases.NAME.fullmatch(name) and name not in needed:
            yield Leftover(RUNTIME, str(layout.RUN / at.app / name))


def _host_sides(at: Layout, known: _Known) -> Found:
    current = files.read_link(at.lib / "current")
    for name in files.names(at.lib) if current else []:
        if _HOST_SIDE.fullmatch(name) and name != current:
            yield Leftover(HOST_SIDE, str(at.lib / name))


def _scratch(at: Layout, known: _Known) -> Found:
    """Temporary files of any application by processes that do not run any more; only root's."""
    for folder, ours in _SCRATCH:
        for name in files.names(folder):
            made = ours.match(name)
            if made and not _runs(made.group(1)) and _is_roots(folder / name):
                yield Leftover(SCRATCH, str(folder / name))


def _is_roots(path: Path) -> bool:
    try:
        return path.lstat().st_uid == 0
    except FileNotFoundError:
        return False


def _installers(at: Layout, known: _Known) -> Found:
    """pip's temporary folders, and uv's in its cache."""
    for place, ours in (("tmp", ""), ("uv", ".tmp"), ("uv/builds-v0", ".tmp")):
        folder = at.cache / "pip" / place
        found = files.names(folder) if files.is_folder(folder) else []
        yield from (
            Leftover(INSTALLER, str(folder / name)) for name in found if name.startswith(ours)
        )


def _runs(pid: str) -> bool:
    return os.path.exists("/proc/" + pid)


# --- removing -----------------------------------------------------------------------------


def _unlink(at: Layout, one: Leftover) -> None:
    files.remove(one.path)


def _tree(at: Layout, one: Leftover) -> None:
    files.remove_tree(one.path)


def _removed_half(at: Layout, one: Leftover) -> None:
    if one.path.parent == at.releases:
        releases.remove(at, one.path.name)
    else:
        files.remove_tree(one.path)


def _instance(at: Layout, one: Leftover) -> None:
    instance = at.instance_of(one.what)
    if instance is not None:
        instances.retire(at, [instance])


def _scratch_of_anybody(at: Layout, one: Leftover) -> None:
    with locks.shared_parts():
        if files.is_folder(one.path):
            shutil.rmtree(str(one.path))
        else:
            files.remove(one.path)


_TAKE_AWAY: Dict[str, Callable[[Layout, Leftover], None]] = {
    INSTANCE: _instance,
    FAILED: lambda _at, one: systemd.forget_failure(one.what),
    TRIAL: lambda at, one: trial.clear(at, one.path),
    TIMER: lambda at, _one: timers.ensure(at),
    RELEASE: lambda at, one: releases.remove(at, one.path.name),
    REMOVED: _removed_half,
    WHEEL: _tree,
    CERTIFICATE: _tree,
    CHALLENGE: _tree,
    PAGES: _tree,
    RUNTIME: _tree,
    HOST_SIDE: _tree,
    SCRATCH: _scratch_of_anybody,
    INSTALLER: lambda at, one: downloads.remove(at, [one.what]),
}
