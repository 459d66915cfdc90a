"""The instances of a release: where one more can start, and how one ends.

An instance that was asked to stop ends in its unit's own time (TimeoutStopSec, from
`deploy.drain_seconds`), with the requests that it has. systemd sees to that: the session that
asked may be long gone, and nobody hurries it. Until it has ended its slot is taken, and its
release stays, with its unit file (a unit without its file has systemd's default time after
anybody's daemon-reload). It is in nobody's way: who needs that release takes another slot.
"""

from __future__ import annotations

from typing import Iterable, Optional

from cartwheel.host.layout import OLD_SLOTS, Layout, slots
from cartwheel.host.process import drain
from cartwheel.host.system import systemd

# Most are quiet, and have ended, after this.
PATIENCE_SECONDS = 5.0


def free_slot(at: Layout, release: str, *, but: Optional[str] = None) -> Optional[str]:
    """The first slot of which systemd has nothing loaded, not even what still ends; None where
    all are taken, which only a release of an earlier version knows."""
    taken = {slot for one, slot in systemd.loaded(at) if one == release} | {but}
    return next((slot for slot in _slots(at, release) if slot not in taken), None)


def _slots(at: Layout, release: str) -> Iterable[str]:
    """An earlier version's release keeps the slots that it was made with: what puts the host in
    order after a power cut may be of that version too, until the next deploy."""
    old = [slot for slot in OLD_SLOTS if at.unit_source(release, slot).exists()]
    return old or slots()


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


def retire(at: Layout, release: str, slot: str) -> None:
    """Let an instance that gets no more traffic finish what it has, and end; wait some seconds
    for that, so that mostly nothing is left for whoever comes next."""
    if systemd.instances(at).get((release, slot)) == systemd.STOPPING:
        return
    unit, quiet = at.unit(release, slot), drain.Quiet(at.socket(release, slot))
    asked = ask_to_end(at, release, slot, quiet)
    if asked and systemd.ends(unit, within_seconds=PATIENCE_SECONDS):
        systemd.forget_failure(unit)


def ask_to_end(at: Layout, release: str, slot: str, quiet: drain.Quiet) -> bool:
    """Ask an instance to end once nothing waits to be accepted by it; False: its workers are all
    taken, and systemd asks it later. Once gunicorn is asked it takes no more connections, and
    those that wait would be lost."""
    unit = at.unit(release, slot)
    is_taken = systemd.state(unit).is_up and not quiet.wait(PATIENCE_SECONDS)
    if is_taken and systemd.stop_when_quiet(at, release, slot):
        return False
    systemd.stop(unit)
    return True
