"""The instances of a release: where one more can start, and how one ends.

An instance that was asked to stop ends in its unit's own time (TimeoutStopSec, from
`deploy.drain_seconds`), with the requests that it has. systemd sees to that: the session that
asked may be long gone, and nobody hurries it. Until it has ended its slot is taken, and its
release stays, with its unit file (a unit without its file has systemd's default time after
anybody's daemon-reload). It is in nobody's way: who needs that release takes another slot.
"""

from __future__ import annotations

from typing import Dict, Iterable, Optional

from cartwheel.host.layout import OLD_SLOTS, Layout, slots
from cartwheel.host.process.drain import Quiet
from cartwheel.host.process.kinds import kind_of
from cartwheel.host.state import releases
from cartwheel.host.system import systemd
from cartwheel.host.system.context import Context
from cartwheel.host.wire.instance import WEB, Instance

# Most have ended after this.
PATIENCE_SECONDS = 5.0


def free(at: Layout, release: str, *, but: Optional[Instance] = None) -> Optional[Instance]:
    """The first web instance in whose slot systemd has nothing of the release loaded, not even what
    still ends; None where all slots are taken, which only a release of an earlier version knows."""
    known = [one for one in (*systemd.loaded(at), but) if one is not None]
    taken = {one.slot for one in known if one.release == release}
    return next((one for one in _possible(at, release) if one.slot not in taken), None)


def _possible(at: Layout, release: str) -> Iterable[Instance]:
    """An earlier version's release keeps the slots that it was made with: what puts the host in
    order after a power cut may be of that version too, until the next deploy."""
    old = [Instance(WEB, release, slot) for slot in OLD_SLOTS]
    return [one for one in old if at.unit_source(one).exists()] or (
        Instance(WEB, release, slot) for slot in slots()
    )


def start(ctx: Optional[Context], at: Layout, one: Instance) -> None:
    """Ask for its start, and wait for nothing. Raises OpError("not-whole")."""
    systemd.install(at, one)
    systemd.start(ctx, at.unit(one))


def ensure_running(at: Layout, one: Instance, *, but: Optional[Instance] = None) -> Instance:
    """Start what should serve, with all that runs together with it, unless it runs; the instance
    that serves. That is another one where something there is about to end."""
    active = _active(at, one)
    if systemd.STOPPING in active.values():
        # Without a free one it starts as soon as the other one has ended.
        another = free(at, one.release, but=but)
        one, active = (another, {}) if another else (one, active)
    for each in releases.side(at, one):
        if active.get(each) not in systemd.RUNNING:
            start(None, at, each)
    return one


def is_running(at: Layout, one: Instance) -> bool:
    """Whether it runs, or will, with all that runs together with it."""
    return all(active in systemd.RUNNING for active in _active(at, one).values())


def are_up(at: Layout, one: Instance) -> bool:
    """Whether it is up, with all that runs together with it."""
    return all(systemd.state(at.unit(each)).is_up for each in releases.side(at, one))


def _active(at: Layout, one: Instance) -> Dict[Instance, str]:
    return {each: systemd.state(at.unit(each)).active for each in releases.side(at, one)}


def retire(at: Layout, one: Instance) -> None:
    """Let an instance that has no more to come finish what it has, and end; wait some seconds
    for that, so that mostly nothing is left for whoever comes next."""
    if systemd.instances(at).get(one) == systemd.STOPPING:
        return
    asked = end(at, one)
    if asked and systemd.ends(at.unit(one), within_seconds=PATIENCE_SECONDS):
        systemd.forget_failure(at.unit(one))


def end(at: Layout, one: Instance, queue: Optional[Quiet] = None) -> bool:
    """Ask an instance to end in its own time; False: systemd asks it later. A `queue` has been
    looked at before."""
    kind = kind_of(one)
    return kind.end(at, one, queue or kind.queue(at, one))
