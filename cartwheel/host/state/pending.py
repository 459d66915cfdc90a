"""The switch that is not confirmed yet: one file, from before the first change until it is.

Its presence is the fact; its unlink (and the fsync of its directory) is the confirmation.
It holds all that is needed to go back, so that the live session, the installed recover
and the boot unit go back in the same way.
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.pending import DAMAGED, Pending


def write(at: Layout, pending: Pending) -> None:
    """From now on there is a way back, and on, also where the disk is full by then."""
    for link, target in (*_links_back(at, pending), *_links_on(at, pending)):
        files.keep_spare(link, target)
    files.write_json(at.pending, to_json(pending), 0o600)


def _links_back(at: Layout, pending: Pending) -> List[Tuple[Path, str]]:
    """The links that carry the traffic, as they were."""
    if pending.old is None:
        return []
    links = [
        (at.current, "releases/" + pending.old.release),
        (at.socket_link(pending.old.release), str(at.socket(pending.old))),
    ]
    return [(link, target) for link, target in links if link.parent.is_dir()]


def _links_on(at: Layout, pending: Pending) -> List[Tuple[Path, str]]:
    """The links that move once it is confirmed, as they will be."""
    links = [(at.fallback, pending.to), (at.previous, pending.next_previous)]
    return [(link, "releases/" + release) for link, release in links if release is not None]


def read(at: Layout) -> Optional[Pending]:
    """Raises OpError("host-state") where it is damaged."""
    return files.read_record(Pending, at.pending)


def look(at: Layout) -> Optional[Pending]:
    """The mark for those who only look: None where there is none, DAMAGED where it is."""
    try:
        return read(at)
    except OpError:
        return DAMAGED


def set_damaged_aside(at: Layout) -> Optional[Path]:
    """Keep a mark that nobody can read under another name; which. It tells no way back, and
    what `current` names is a whole release. (We write it whole: a fault of the disk did it.)
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


def drop_links_on(at: Layout) -> None:
    """The links that were kept for going on: it has gone on, or back."""
    for link in (at.fallback, at.previous):
        files.drop_spare(link)
