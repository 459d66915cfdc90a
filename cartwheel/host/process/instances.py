"""The instances of a release: where one more can start, and how one ends.

An instance that was asked to stop ends in its unit's own time (TimeoutStopSec, from
`deploy.drain_seconds`), with the requests that it has. systemd sees to that: the session that
asked may be long gone, and nobody hurries it. Until it has ended its slot is taken, and its
unit file and its release stay (a unit without its file has systemd's default time after
anybody's daemon-reload). It is in nobody's way: whoever comes next takes away what it leaves.
"""

from __future__ import annotations

from typing import Optional

from cartwheel.host.layout import SLOTS, Layout
from cartwheel.host.process import drain
from cartwheel.host.system import files, systemd

# Most have ended after this: then nothing is left for whoever comes next.
PATIENCE_SECONDS = 5.0


def free_slot(at: Layout, release: str, *, but: Optional[str] = None) -> Optional[str]:
    """The first slot in which nothing of this release runs, not even to its end; None where
    all are taken."""
    taken = {slot for one, slot in systemd.running(at) if one == release} | {but}
    # A release of an older version has fewer than these.
    made = [slot for slot in SLOTS if (at.release(release) / (slot + ".service")).exists()]
    return next((slot for slot in made or SLOTS if slot not in taken), None)


def ensure_running(at: Layout, release: str, slot: str, *, but: Optional[str] = None) -> str:
    """Start what should serve, unless it runs; the slot in which it does. That is another one
    than `slot` where the instance there is about to end."""
    active = systemd.state(at.unit(release, slot)).active
    if active in ("active", "activating"):
        return slot
    if active == systemd.STOPPING:
        # Without a free one it starts as soon as the other one has ended.
        slot = free_slot(at, release, but=but) or slot
    systemd.install(at, release, slot)
    systemd.start(None, at.unit(release, slot))
    return slot


def retire(at: Layout, release: str, slot: str, *, since: Optional[float] = None) -> bool:
    """Let an instance that gets no more traffic (since then, by time.monotonic) finish what it
    has, and end; True if it has ended within moments, and nothing of it is left."""
    unit = at.unit(release, slot)
    if systemd.instances(at).get((release, slot)) == systemd.STOPPING:
        return False
    if not _asked_to_end(at, release, slot, since):
        return False
    if not systemd.ends(unit, within_seconds=PATIENCE_SECONDS):
        return False
    systemd.forget_failure(unit)
    files.remove(at.unit_file(release, slot))
    return True


def _asked_to_end(at: Layout, release: str, slot: str, since: Optional[float]) -> bool:
    """Asked now; or, where its workers are all taken, later by systemd: once gunicorn is asked
    it takes no more connections, and those that wait would be lost."""
    unit, socket = at.unit(release, slot), at.socket(release, slot)
    if systemd.state(unit).is_up:
        quiet = drain.wait_until_quiet(socket, timeout_seconds=PATIENCE_SECONDS, since=since)
        if not quiet and systemd.stop_when_quiet(at, release, slot):
            return False
    systemd.stop(unit)
    return True
