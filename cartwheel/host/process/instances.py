"""The instances of a release: in which slot another can start, and how one stops.

An instance that was asked to stop finishes its requests within its unit's time limit
(TimeoutStopSec, from `deploy.drain_seconds`). systemd enforces that even when the session has
ended. Until the instance has stopped, its slot is taken, and its release stays with its unit file
(after a daemon-reload a unit without its file has systemd's default time limit). It blocks nobody:
a new instance of that release takes another slot.
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

# Most have stopped after this time.
PATIENCE_SECONDS = 5.0


def free(at: Layout, release: str, *, but: Optional[Instance] = None) -> Optional[Instance]:
    """The first web instance whose slot is free: systemd has no unit of it loaded, not even a
    stopping one. None if all slots of a release of an earlier version are taken."""
    known = [one for one in (*systemd.loaded(at), but) if one is not None]
    taken = {one.slot for one in known if one.release == release}
    return next((one for one in _possible(at, release) if one.slot not in taken), None)


def _possible(at: Layout, release: str) -> Iterable[Instance]:
    """The release's slots. A release of an earlier version keeps the slots that it was made with:
    until the next deploy, the installed recover may be of that version too."""
    old = [Instance(WEB, release, slot) for slot in OLD_SLOTS]
    return [one for one in old if at.unit_source(one).exists()] or (
        Instance(WEB, release, slot) for slot in slots()
    )


def start(ctx: Optional[Context], at: Layout, one: Instance) -> None:
    """Ask for its start without waiting. Raises OpError("not-whole")."""
    systemd.install(at, one)
    systemd.start(ctx, at.unit(one))


def ensure_running(at: Layout, one: Instance, *, but: Optional[Instance] = None) -> Instance:
    """Start the instance that should serve, and those that run together with it, unless they run.
    Returns the serving instance; it is another one if one of these is about to stop."""
    active = _active(at, one)
    if systemd.STOPPING in active.values():
        # Without a free slot it starts as soon as the other one has stopped.
        another = free(at, one.release, but=but)
        one, active = (another, {}) if another else (one, active)
    for each in releases.side(at, one):
        if active.get(each) not in systemd.RUNNING:
            start(None, at, each)
    return one


def is_running(at: Layout, one: Instance) -> bool:
    """Whether the instance and those that run together with it are running or starting."""
    return all(active in systemd.RUNNING for active in _active(at, one).values())


def are_up(at: Layout, one: Instance) -> bool:
    """Whether the instance and those that run together with it are up."""
    return all(systemd.state(at.unit(each)).is_up for each in releases.side(at, one))


def _active(at: Layout, one: Instance) -> Dict[Instance, str]:
    return {each: systemd.state(at.unit(each)).active for each in releases.side(at, one)}


def retire(at: Layout, one: Instance) -> None:
    """Let an instance without new traffic finish its requests and stop; wait some seconds for that,
    so that later runs rarely meet it."""
    if systemd.instances(at).get(one) == systemd.STOPPING:
        return
    asked = end(at, one)
    if asked and systemd.ends(at.unit(one), within_seconds=PATIENCE_SECONDS):
        systemd.forget_failure(at.unit(one))


def end(at: Layout, one: Instance, queue: Optional[Quiet] = None) -> bool:
    """Ask an instance to stop within its own time limit; False: systemd asks it later. `queue` may
    hold earlier looks."""
    kind = kind_of(one)
    return kind.end(at, one, queue or kind.queue(at, one))
