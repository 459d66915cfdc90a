"""The pending switch: one file, from before the first change until the confirmation.

While the file exists, the switch is pending; its unlink (and the fsync of its directory) is the
confirmation. It holds everything that is needed to roll back, so the live session, the installed
recover and the boot unit roll back in the same way.
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.state import assignment
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.pending import DAMAGED, Pending


def write(at: Layout, pending: Pending) -> None:
    """Write the mark. From now on the host can roll back or finish, even if the disk gets full."""
    for what in (pending.was_assigned, pending.to_assigned):
        assignment.keep(at, what)
    for link, target in (*_links_back(at, pending), *_links_on(at, pending)):
        files.keep_spare(link, target)
    files.write_json(at.pending, to_json(pending), 0o600)


def _links_back(at: Layout, pending: Pending) -> List[Tuple[Path, str]]:
    """The earlier targets of the links that say what serves here."""
    if pending.old is None:
        return []
    links = [
        (at.current, "releases/" + pending.old.release),
        (at.socket_link(pending.old.release), str(at.socket(pending.old))),
        (at.assigned, assignment.target(at, pending.was_assigned)),
    ]
    return [(link, target) for link, target in links if link.parent.is_dir()]


def _links_on(at: Layout, pending: Pending) -> List[Tuple[Path, str]]:
    """The later targets of the links that move after the confirmation."""
    links = [(at.fallback, pending.to), (at.previous, pending.next_previous)]
    return [(link, "releases/" + release) for link, release in links if release is not None]


def read(at: Layout) -> Optional[Pending]:
    """Raises OpError("host-state") if the mark is damaged."""
    return files.read_record(Pending, at.pending)


def look(at: Layout) -> Optional[Pending]:
    """Read the mark without an error: None if there is none, DAMAGED if it is damaged."""
    try:
        return read(at)
    except OpError:
        return DAMAGED


def set_damaged_aside(at: Layout) -> Optional[Path]:
    """Rename a mark that cannot be read; returns the new name. It cannot say how to roll back, but
    `current` names a complete release. (Cartwheel writes it in one piece: the disk damaged it.)
    """
    try:
        read(at)
        return None
    except OpError:
        aside = at.pending.with_name(at.pending.name + ".damaged")
        at.pending.rename(aside)
        files.fsync_dir(at.root)
        return aside


def clear(at: Layout, pending: Pending) -> None:
    """Confirm or close: after this returns no crash brings it back."""
    files.remove(at.pending)
    for link, _target in _links_back(at, pending):
        files.drop_spare(link)


def forget(at: Layout) -> None:
    """Remove what was kept for it; the switch is finished or rolled back."""
    for link in (at.fallback, at.previous):
        files.drop_spare(link)
    assignment.forget_earlier(at)
