"""The switch that is not confirmed yet: one file, from before the first change until it is.

Its presence is the fact; its unlink (and the fsync of its directory) is the confirmation.
It holds all that is needed to go back, so that the live session, the installed recover
and the boot unit go back in the same way.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError

_LATER = ("next_previous",)  # words that older versions did not write


@dataclass(frozen=True)
class Pending:
    id: str
    kind: str  # deploy, rollback, restart
    to: str
    to_slot: str
    was: Optional[str]  # the release that served; None at the first deploy
    was_slot: Optional[str]
    was_fallback: Optional[str]
    was_previous: Optional[str]
    shared: Dict[str, Any]  # nginx.snapshot of every shared file that the switch changes
    fresh: bool  # `to` was made by this deploy and never served: it goes where it is found bad
    started: float  # time.time() when its instance was started: where its log begins
    version: str
    who: str
    message: str
    # Where `previous` goes once it is confirmed. (A mark of an older version has no such word.)
    next_previous: Optional[str] = None

    def entry(self, result: str, reason: str = "") -> Dict[str, Any]:
        """This switch as a line of the journal."""
        line = {
            "kind": self.kind,
            "release": self.to,
            "version": self.version,
            "result": result,
            "who": self.who,
            "message": self.message,
            "from": self.was,
            "switch": self.id,
        }
        return {**line, "reason": reason} if reason else line


def write(at: Layout, pending: Pending) -> None:
    """From now on there is a way back, and on, also where the disk is full by then."""
    for link, target in (*_links_back(at, pending), *_links_on(at, pending)):
        files.keep_spare(link, target)
    files.write_json(at.pending, asdict(pending), 0o600)


def _links_back(at: Layout, pending: Pending) -> List[Tuple[Path, str]]:
    """The links that carry the traffic, as they were."""
    if pending.was is None or pending.was_slot is None:
        return []
    links = [
        (at.current, "releases/" + pending.was),
        (at.socket_link(pending.was), str(at.socket(pending.was, pending.was_slot))),
    ]
    return [(link, target) for link, target in links if link.parent.is_dir()]


def _links_on(at: Layout, pending: Pending) -> List[Tuple[Path, str]]:
    """The links that move once it is confirmed, as they will be."""
    links = [(at.fallback, pending.to), (at.previous, pending.next_previous)]
    return [(link, "releases/" + release) for link, release in links if release is not None]


def read(at: Layout) -> Optional[Pending]:
    value = files.read_json(at.pending)
    if value is None:
        return None
    try:
        words = [field.name for field in fields(Pending) if field.name not in _LATER]
        known = {name: value[name] for name in _LATER if name in value}
        return Pending(**{name: value[name] for name in words}, **known)
    except KeyError as error:
        raise OpError("host-state", "{} is damaged: no {}".format(at.pending, error)) from error


def look(at: Layout) -> Optional[Dict[str, Any]]:
    """The mark for those who only look: None where there is none, {} where it is damaged."""
    try:
        return files.read_json(at.pending)
    except OpError:
        return {}


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
