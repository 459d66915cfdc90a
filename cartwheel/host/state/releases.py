"""The releases of a host, read from their manifests, never from file times or globs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Container, Dict, List, Optional, Sequence, Set

from cartwheel.host import layout
from cartwheel.host.layout import OLD_SLOTS, RUN, Layout, content_of
from cartwheel.host.state import journal, pending, whole
from cartwheel.host.system import files, systemd
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.manifest import MADE, Manifest

DIGEST = re.compile(r"[0-9a-f]{64}")


def manifest_path(at: Layout, release: str) -> Path:
    """A release with this file is complete: it is written last, after the rest is durable."""
    return at.release(release) / "release.json"


def manifest(at: Layout, release: str) -> Manifest:
    """The release's manifest; an empty one if it is missing or damaged."""
    try:
        return files.read_record(Manifest, manifest_path(at, release)) or Manifest()
    except OpError:
        return Manifest()


def complete(at: Layout) -> List[Manifest]:
    """The manifests of all complete releases, oldest first by their sequence."""
    # One damaged release must not stop the others.
    found = [one for name in names(at) for one in [manifest(at, name)] if one.release == name]
    return sorted(found, key=lambda one: one.seq)


def names(at: Layout) -> List[str]:
    """Every release directory, complete or not."""
    found = files.names(at.releases)
    return [name for name in found if not name.startswith(".") and at.release(name).is_dir()]


def leftovers(at: Layout) -> List[str]:
    """Release directories that are incomplete or half removed."""
    whole = {manifest.release for manifest in complete(at)}
    half = [name for name in names(at) if name not in whole and _is_half_made(at, name)]
    return half + [name for name in files.names(at.releases) if _GONE.fullmatch(name)]


NAME = re.compile(r"[0-9][a-z0-9._]*")
_PARTS = {"venv", "env", "gunicorn.conf.py", "lock.txt", "install.txt", "http.sock", MADE}
_PARTS |= {slot + ".service" for slot in OLD_SLOTS}
_GONE = re.compile(re.escape(files.GONE) + NAME.pattern)


def _is_half_made(at: Layout, name: str) -> bool:
    """Whether Cartwheel was making it: it has the marks of `steps`, or only parts of a release. A
    person's copy of a release has that release's manifest."""
    if not NAME.fullmatch(name):
        return False
    try:
        manifest = files.read_json(manifest_path(at, name))
    except OpError:
        return True  # damaged
    inside = set(os.listdir(at.release(name)))
    own = {process + end for process in processes(at, name) for end in ("@.service", ".env")}
    own |= {f"job.{job}.{end}" for job in jobs(at, name) for end in ("service", "env")}
    return manifest is None and ("steps.json" in inside or inside <= _PARTS | own)


def content(manifest: Manifest) -> str:
    """The release's content name: a rebuilt release has another name and the same content."""
    return manifest.content or content_of(manifest.release)


def spoilt(at: Layout) -> Dict[str, str]:
    """Names that no deploy may use any more, each with the reason: damaged releases, and missing
    releases that a link points to. (A release that is being made does not count.)
    """
    found = {manifest.release: whole.problem(at, manifest) for manifest in complete(at)}
    taken = {pointed(link) for link in (at.current, at.fallback, at.previous)}
    for name in [*names(at), *sorted(name for name in taken if name)]:
        if name in found:
            continue
        if manifest_path(at, name).exists():
            found[name] = "release.json is damaged"
        elif name in taken:
            found[name] = "release.json is missing"
    return {name: what for name, what in found.items() if what}


def problem(at: Layout, release: str) -> str:
    """What the release lacks; "" if it is whole."""
    known = manifest(at, release)
    if known.release != release:
        return "release.json is missing or damaged"
    return whole.problem(at, known)


def damage(at: Layout) -> Dict[str, List[str]]:
    """All that the live release and the rollback target lack, checked file by file."""
    current = pointed(at.current)
    found: Dict[str, List[str]] = {}
    for name in (current, rollback_target(at, current)):
        if name is not None:
            what = problem(at, name)
            known = manifest(at, name)
            found[name] = whole.damage(at, known) if known.release == name else [what]
    return found


def refuse_spoilt(at: Layout, release: str) -> None:
    """Raises OpError("not-whole") if the release cannot run."""
    found = problem(at, release)
    if found:
        raise OpError("not-whole", f"{release} is damaged: {found}")


class _Usable(Container[str]):
    """The possible rollback targets: whole releases whose content is not that of `current`.
    A release is checked only when the iterator reaches it."""

    def __init__(self, at: Layout, current: Optional[str]) -> None:
        self._at = at
        self._content = content_of(current) if current else None

    def __contains__(self, release: object) -> bool:
        name = str(release)
        return content_of(name) != self._content and not problem(self._at, name)


def rollback_target(
    at: Layout, current: Optional[str], entries: Optional[Sequence[Entry]] = None
) -> Optional[str]:
    """The rollback target from `current`: the newest whole release further back, or None."""
    known = journal.read(at.journal) if entries is None else entries
    return journal.rollback_target(known, current, _Usable(at, current))


def cut_off(at: Layout, current: Optional[str], entries: Sequence[Entry]) -> Optional[str]:
    """The whole release of the last deploy, if that was interrupted, or None."""
    return journal.cut_off(entries, current, _Usable(at, current))


def note_settings(at: Layout, release: str, settings: Dict[str, str]) -> None:
    """Keep the digests of the settings that the release was deployed with, by name, so that the
    next plan can compare them, and so can a monitor. Nothing depends on them, so disk errors are
    ignored."""
    with contextlib.suppress(OSError, OpError):
        files.write_json(_settings_path(at, release), settings)


def settings_of(at: Layout, release: str) -> Optional[Dict[str, str]]:
    """The digests kept by `note_settings`; None if there are none, as from earlier versions."""
    try:
        return files.read_record(Dict[str, str], _settings_path(at, release))
    except (OSError, OpError):
        return None


def _settings_path(at: Layout, release: str) -> Path:
    return at.release(release) / "settings.json"


def next_sequence(at: Layout) -> int:
    return max((manifest.seq for manifest in complete(at)), default=0) + 1


def pointed(path: Path) -> Optional[str]:
    """The release that the link `current`, `fallback` or `previous` names."""
    target = files.read_link(path)
    return os.path.basename(target) if target else None


def point(at: Layout, path: Path, release: Optional[str]) -> bool:
    """Move one of those links with one rename, or remove it."""
    if release is None:
        return files.remove(path)
    return files.link(path, "releases/" + release)


def serving(at: Layout) -> Optional[Instance]:
    """The instance that should be live now."""
    release = pointed(at.current)
    return instance_of(at, release) if release else None


def instance_of(at: Layout, release: str) -> Optional[Instance]:
    """The instance that a release's socket link names."""
    target = files.read_link(at.socket_link(release))
    return Instance(WEB, release, Path(target).parent.name) if target else None


def processes(at: Layout, release: str) -> List[str]:
    """The processes that a release has units for."""
    found = map(layout.SOURCE.fullmatch, files.names(at.release(release)))
    return [one.group(1) for one in found if one]


def jobs(at: Layout, release: str) -> List[str]:
    """The timers that a release has jobs for."""
    found = map(layout.JOB_SOURCE.fullmatch, files.names(at.release(release)))
    return [one.group(1) for one in found if one]


def unit_files(at: Layout) -> Dict[Path, str]:
    """The releases' unit files that systemd reads, each with its release."""
    folder = layout.UNITS
    named = {name: at.released_by(name) for name in files.names(folder)}
    return {folder / name: release for name, release in named.items() if release is not None}


def point_slot(at: Layout, one: Instance) -> bool:
    """Point the socket link at the instance, unless the release was removed by hand."""
    if not at.release(one.release).is_dir():
        return False
    return files.link(at.socket_link(one.release), str(at.socket(one)))


def premise(at: Layout) -> str:
    """A digest of what a plan is made from: if it is unchanged, nobody has changed this application
    in between."""
    entries = journal.read(at.journal)
    links = [files.read_link(path) for path in (at.current, at.fallback, at.previous, at.assigned)]
    current = pointed(at.current)
    known = [
        entries[-1].seq if entries else 0,
        links,
        [manifest.release for manifest in complete(at)],
        problem(at, current) if current else "",
        at.pending.exists(),
        at.stopped.exists(),
        files.names(at.stopped_processes),
    ]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def protected(at: Layout, units: Optional[systemd.Units] = None) -> Set[str]:
    """Releases that prune must not touch: current, fallback, previous, and those still running."""
    return named(at) | _running(units or systemd.units(at))


def _running(units: systemd.Units) -> Set[str]:
    of_jobs = {release for _timer, release in units.jobs}
    return of_jobs | {one.release for one in units.running}


def named(at: Layout) -> Set[str]:
    """The current, fallback and previous releases, now and after a pending switch."""
    linked = {pointed(path) for path in (at.current, at.fallback, at.previous)}
    safe = {release for release in linked if release}
    back = rollback_target(at, pointed(at.current))
    if back:
        safe.add(back)  # `previous` may be outdated: a killed session did not update it
    mark = pending.look(at)
    if mark:
        sides = (mark.was, mark.to, mark.was_fallback, mark.was_previous)
        safe.update(release for release in sides if release)
    return safe


def prune(at: Layout, keep_releases: int, *, but: Optional[str] = None) -> List[str]:
    """Remove releases beyond `keep_releases` and incomplete ones (except `but`); their names."""
    safe = protected(at) | ({but} if but else set())
    order = _by_worth(at)
    doomed = journal.to_prune(order, safe, keep_releases)
    doomed += [name for name in leftovers(at) if name not in safe]
    for name in doomed:
        remove(at, name)
    _prune_cache(at)
    return doomed


def _by_worth(at: Layout) -> List[str]:
    """The complete releases in the order of removal: damaged or since rebuilt ones, then by age."""
    known = complete(at)
    newest = {content(manifest): manifest.release for manifest in known}
    worth = [
        newest[content(manifest)] == manifest.release and not whole.problem(at, manifest)
        for manifest in known
    ]
    order = sorted(zip(worth, known), key=lambda one: one[0])
    return [manifest.release for _worth, manifest in order]


def remove(at: Layout, release: str) -> None:
    """Remove a release and its unit files. It must not be running."""
    for path, owner in unit_files(at).items():
        if owner == release:
            files.remove(path)
    files.remove_tree(at.release(release))
    # systemd removes the slots' runtime directories, but not their parent.
    files.remove_tree(RUN / at.app / release)


def discard(at: Layout, release: str) -> None:
    """Remove a bad release, and its wheel if no other release needs it. If an instance of it is
    still running, the release is only marked as incomplete, and a later run removes it."""
    if release in _running(systemd.units(at)):
        files.remove(manifest_path(at, release))
    else:
        remove(at, release)
    _prune_cache(at)


def unwanted_wheels(at: Layout) -> List[Path]:
    """Cached wheels that no complete release was made from."""
    wanted = {sha for one in complete(at) for sha in (one.wheel_sha256, *one.beside.values())}
    cached = files.names(at.cache / "wheels")
    unwanted = [name for name in cached if DIGEST.fullmatch(name) and name not in wanted]
    return [at.cache / "wheels" / name for name in unwanted]


def _prune_cache(at: Layout) -> None:
    for wheel in unwanted_wheels(at):
        files.remove_tree(wheel)
