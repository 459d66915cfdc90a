"""What releases a host has: read from their manifests, never from file times or globs."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Container, Dict, List, Optional, Sequence, Set

from cartwheel.host import layout
from cartwheel.host.layout import OLD_SLOTS, RUN, Layout, content_of
from cartwheel.host.state import journal, pending, whole
from cartwheel.host.system import files, systemd
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.instance import WEB, Instance
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.manifest import Manifest

DIGEST = re.compile(r"[0-9a-f]{64}")


def manifest_path(at: Layout, release: str) -> Path:
    """`release.json`: written last, after everything of the release is durable. Its presence
    is the mark that the release is complete."""
    return at.release(release) / "release.json"


def manifest(at: Layout, release: str) -> Manifest:
    """The release's manifest; an empty one where there is none, or a damaged one."""
    try:
        return files.read_record(Manifest, manifest_path(at, release)) or Manifest()
    except OpError:
        return Manifest()


def complete(at: Layout) -> List[Manifest]:
    """The manifests of all complete releases, oldest first by their sequence."""
    # One damaged release does not keep the others from serving.
    found = [one for name in names(at) for one in [manifest(at, name)] if one.release == name]
    return sorted(found, key=lambda one: one.seq)


def names(at: Layout) -> List[str]:
    """Every release directory, complete or not."""
    try:
        entries = sorted(os.listdir(at.releases))
    except FileNotFoundError:
        return []
    return [name for name in entries if not name.startswith(".") and at.release(name).is_dir()]


def leftovers(at: Layout) -> List[str]:
    """Release directories that are not complete, and half-removed ones."""
    whole = {manifest.release for manifest in complete(at)}
    half = [name for name in names(at) if name not in whole and _is_half_made(at, name)]
    try:
        entries = sorted(os.listdir(at.releases))
    except FileNotFoundError:
        entries = []
    gone = [name for name in entries if _GONE.fullmatch(name)]
    return half + gone


NAME = re.compile(r"[0-9][a-z0-9._]*")
_PARTS = {"venv", "env", "gunicorn.conf.py", "lock.txt", "install.txt", "http.sock"}
_PARTS |= {slot + ".service" for slot in OLD_SLOTS}
_GONE = re.compile(re.escape(files.GONE) + NAME.pattern)


def _is_half_made(at: Layout, name: str) -> bool:
    """Whether we were making it: it has the marks of `steps`, or nothing but parts of a
    release. A copy that somebody made has another release's manifest."""
    if not NAME.fullmatch(name):
        return False
    try:
        manifest = files.read_json(manifest_path(at, name))
    except OpError:
        return True  # damaged
    inside = set(os.listdir(at.release(name)))
    units = {process + "@.service" for process in processes(at, name)}
    return manifest is None and ("steps.json" in inside or inside <= _PARTS | units)


def content(manifest: Manifest) -> str:
    """What is in the release: one that was made anew has another name, and the same content."""
    return manifest.content or content_of(manifest.release)


def spoilt(at: Layout) -> Dict[str, str]:
    """The names that no deploy may use any more, each with what is wrong: of releases that are
    not whole, and of what is pointed at and not there. (One that is being made is none of them.)
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
    """What the release lacks; "" where it is whole."""
    known = manifest(at, release)
    if known.release != release:
        return "release.json is missing or damaged"
    return whole.problem(at, known)


def damage(at: Layout) -> Dict[str, List[str]]:
    """What serves and where a rollback goes, each with all that it lacks, looked at file by
    file."""
    current = pointed(at.current)
    found: Dict[str, List[str]] = {}
    for name in (current, rollback_target(at, current)):
        if name is not None:
            what = problem(at, name)
            known = manifest(at, name)
            found[name] = whole.damage(at, known) if known.release == name else [what]
    return found


def refuse_spoilt(at: Layout, release: str) -> None:
    """Raises OpError("not-whole") where the release cannot serve."""
    found = problem(at, release)
    if found:
        raise OpError("not-whole", "{} is damaged: {}".format(release, found))


class _Usable(Container[str]):
    """The releases that a rollback may go to: whole ones with another content than `current`.
    Looked at only when it is asked for."""

    def __init__(self, at: Layout, current: Optional[str]) -> None:
        self._at = at
        self._content = content_of(current) if current else None

    def __contains__(self, release: object) -> bool:
        name = str(release)
        return content_of(name) != self._content and not problem(self._at, name)


def rollback_target(
    at: Layout, current: Optional[str], entries: Optional[Sequence[Entry]] = None
) -> Optional[str]:
    """Where a rollback from `current` goes: the newest whole release further back, or None."""
    known = journal.read(at.journal) if entries is None else entries
    return journal.rollback_target(known, current, _Usable(at, current))


def cut_off(at: Layout, current: Optional[str], entries: Sequence[Entry]) -> Optional[str]:
    """The whole release that the last deploy was for and did not bring to its end, or None."""
    return journal.cut_off(entries, current, _Usable(at, current))


def note_settings(at: Layout, release: str, settings: Dict[str, str]) -> None:
    """Keep the digests of the settings that the release was deployed with, by their names, for
    the next plan to compare. Nothing depends on them, so a disk that fails stops nothing."""
    try:
        files.write_json(_settings_path(at, release), settings, 0o640)
    except (OSError, OpError):
        pass


def settings_of(at: Layout, release: str) -> Optional[Dict[str, str]]:
    """What `note_settings` kept; None where nobody did, as earlier versions."""
    try:
        return files.read_json(_settings_path(at, release))
    except (OSError, OpError):
        return None


def _settings_path(at: Layout, release: str) -> Path:
    return at.release(release) / "settings.json"


def next_sequence(at: Layout) -> int:
    known = [manifest.seq for manifest in complete(at)]
    return max(known, default=0) + 1


def pointed(path: Path) -> Optional[str]:
    """The release that the link `current`, `fallback` or `previous` names."""
    target = files.read_link(path)
    return os.path.basename(target) if target else None


def point(at: Layout, path: Path, release: Optional[str]) -> bool:
    """Move one of those links (or take it away) with one rename."""
    if release is None:
        return files.remove(path)
    return files.link(path, "releases/" + release)


def serving(at: Layout) -> Optional[Instance]:
    """What should serve now."""
    release = pointed(at.current)
    return instance_of(at, release) if release else None


def instance_of(at: Layout, release: str) -> Optional[Instance]:
    """Which instance of a release its socket link names."""
    target = files.read_link(at.socket_link(release))
    return Instance(WEB, release, Path(target).parent.name) if target else None


def processes(at: Layout, release: str) -> List[str]:
    """Of which processes a release has a unit, web first: each release has that."""
    folder = at.release(release)
    found = map(layout.SOURCE.fullmatch, sorted(os.listdir(folder)) if folder.is_dir() else [])
    return [WEB, *(one.group(1) for one in found if one and one.group(1) != WEB)]


def side(at: Layout, one: Optional[Instance]) -> List[Instance]:
    """All instances that run together with this one: one of each process of its release."""
    if one is None:
        return []
    return [replace(one, process=process) for process in processes(at, one.release)]


def unit_files(at: Layout) -> Dict[Path, str]:
    """The unit files of releases that systemd reads, each with its release."""
    folder = layout.UNITS
    named = {name: at.released_by(name) for name in sorted(os.listdir(folder))}
    return {folder / name: release for name, release in named.items() if release is not None}


def point_slot(at: Layout, one: Instance) -> bool:
    """Of a release that was removed by hand there is nothing to point."""
    if not at.release(one.release).is_dir():
        return False
    return files.link(at.socket_link(one.release), str(at.socket(one)))


def premise(at: Layout) -> str:
    """A digest of what a plan is made from: two equal ones mean that nobody changed this
    application in between."""
    entries = journal.read(at.journal)
    links = [files.read_link(path) for path in (at.current, at.fallback, at.previous)]
    current = pointed(at.current)
    known = [
        entries[-1].seq if entries else 0,
        links,
        [manifest.release for manifest in complete(at)],
        problem(at, current) if current else "",
        at.pending.exists(),
        at.stopped.exists(),
    ]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def protected(at: Layout) -> Set[str]:
    """What prune must not touch: what serves, falls back, comes before, or still runs."""
    return named(at) | _running(at)


def _running(at: Layout) -> Set[str]:
    return {one.release for one in systemd.instances(at)}


def named(at: Layout) -> Set[str]:
    """What serves, falls back, comes before, or may do so after a pending switch."""
    linked = {pointed(path) for path in (at.current, at.fallback, at.previous)}
    safe = {release for release in linked if release}
    back = rollback_target(at, pointed(at.current))
    if back:
        safe.add(back)  # `previous` may lag behind: a session that died did not get to it
    mark = pending.look(at)
    if mark:
        sides = (mark.was, mark.to, mark.was_fallback, mark.was_previous)
        safe.update(release for release in sides if release)
    return safe


def prune(at: Layout, keep_releases: int, *, but: Optional[str] = None) -> List[str]:
    """Remove releases beyond `keep_releases` and half ones (except `but`); their names."""
    safe = protected(at) | ({but} if but else set())
    order = _by_worth(at)
    doomed = journal.to_prune(order, safe, keep_releases)
    doomed += [name for name in leftovers(at) if name not in safe]
    for name in doomed:
        remove(at, name)
    _prune_cache(at)
    return doomed


def _by_worth(at: Layout) -> List[str]:
    """The complete releases, those that may go first at the beginning: what is not whole, and
    what was made anew since; then the oldest."""
    known = complete(at)
    newest = {content(manifest): manifest.release for manifest in known}
    worth = [
        newest[content(manifest)] == manifest.release and not whole.problem(at, manifest)
        for manifest in known
    ]
    order = sorted(zip(worth, known), key=lambda one: one[0])  # noqa: B905 (3.10)
    return [manifest.release for _worth, manifest in order]


def remove(at: Layout, release: str) -> None:
    """Take a release and the unit files that it owns away. It must not run any more."""
    for path, owner in unit_files(at).items():
        if owner == release:
            files.remove(path)
    files.remove_tree(at.release(release))
    files.remove_tree(at.releases / (".gone-" + release))
    # systemd takes the slots' own runtime directories away, not the one around them.
    files.remove_tree(RUN / at.app / release)
    if release.startswith(".gone-"):
        files.remove_tree(at.release(release))


def discard(at: Layout, release: str) -> None:
    """Take a release away that is found bad, and the wheel that nobody else needs. What still
    runs of it ends first: until then it is only no whole release any more, and afterwards
    whoever comes next takes it away like every half one."""
    if release in _running(at):
        files.remove(manifest_path(at, release))
    else:
        remove(at, release)
    _prune_cache(at)


def unwanted_wheels(at: Layout) -> List[Path]:
    """Cached wheels that no complete release was made from."""
    try:
        cached = sorted(os.listdir(at.cache / "wheels"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    wanted = {sha for one in complete(at) for sha in (one.wheel_sha256, *one.beside.values())}
    unwanted = [name for name in cached if DIGEST.fullmatch(name) and name not in wanted]
    return [at.cache / "wheels" / name for name in unwanted]


def _prune_cache(at: Layout) -> None:
    for wheel in unwanted_wheels(at):
        files.remove_tree(wheel)
