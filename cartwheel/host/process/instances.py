"""The instances of a release: in which slot another can start, and how one stops.

An instance that was asked to stop finishes its requests within its unit's time limit
(TimeoutStopSec, from `deploy.drain_seconds`). systemd enforces that even when the session has
ended. Until the instance has stopped, its slot is taken, and its release stays with its unit file
(after a daemon-reload a unit without its file has systemd's default time limit). It blocks nobody:
a new instance of that release takes another slot.
"""

from __future__ import annotations

import time
from typing import Callable, Collection, Dict, Iterable, List, Optional

from cartwheel.host.layout import OLD_SLOTS, Layout, slots
from cartwheel.host.process.drain import Quiet
from cartwheel.host.process.kinds import kind_of
from cartwheel.host.state import sides
from cartwheel.host.system import systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.instance import WEB, Instance

# Most have stopped after this time.
PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.2


def free(at: Layout, release: str, *, but: Iterable[Instance] = ()) -> Optional[Instance]:
    """The first web instance whose slot is free: systemd has no unit of it loaded, not even a
    stopping one, and it is not that of these instances. None if all slots of a release of an
    earlier version are taken."""
    taken = {one.slot for one in (*systemd.units(at).active, *but) if one.release == release}
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


def ensure_running(
    at: Layout, one: Instance, what: Assigned, *, but: Iterable[Instance] = ()
) -> Instance:
    """Start the instances of a side, of which `one` stands for all, unless they run. Returns the
    side; it is another one if an instance that may run beside itself is about to stop."""
    active = _active(at, sides.wanted(at, what.side(one.release, one.slot)))
    in_slot = [each for each in active if each.slot == one.slot]
    if any(active[each] == systemd.STOPPING and overlaps(at, each) for each in in_slot):
        # Without a free slot it starts as soon as the other one has stopped.
        another = free(at, one.release, but=but)
        one, active = (another, {}) if another else (one, active)
    for each in sides.wanted(at, what.side(one.release, one.slot)):
        if active.get(each) not in systemd.RUNNING:
            start(None, at, each)  # one that is stopping starts once it has ended
    return one


def overlaps(at: Layout, one: Instance) -> bool:
    """Whether it may run beside an earlier instance of its process."""
    return sides.starts(at, one) in ("first", "beside")


def are_running(at: Layout, side: Iterable[Instance]) -> bool:
    """Whether these instances are running or starting."""
    return all(active in systemd.RUNNING for active in _active(at, side).values())


def down(at: Layout, side: Iterable[Instance]) -> List[Instance]:
    """Those of these instances that are not up."""
    return [one for one, active in _active(at, side).items() if active != "active"]


def _active(at: Layout, side: Iterable[Instance]) -> Dict[Instance, str]:
    units = {one: at.unit(one) for one in side}
    states = systemd.states(list(units.values()))
    return {one: states[unit].active for one, unit in units.items()}


def running(at: Layout, names: Collection[str]) -> List[Instance]:
    """All instances of these processes that systemd has, also of other releases."""
    return [one for one in systemd.instances(at) if one.process in names]


def await_end(
    ctx: Context, at: Layout, process: str, complaint: Callable[[], str] = lambda: ""
) -> None:
    """Wait until no instance of a process is left; each was asked to stop, and systemd enforces its
    time limit. Raises OpError("unhealthy") as soon as there is a complaint."""
    while running(at, (process,)):
        problem = complaint()
        if problem:
            raise OpError("unhealthy", "after the switch: " + problem)
        ctx.progress("processes", f"the old {process} is finishing its work")
        ctx.pause(_POLL_SECONDS)


def retire(at: Layout, side: Iterable[Instance]) -> None:
    """Let instances without new traffic finish their requests and jobs and stop; wait some seconds
    for that, so that later runs rarely meet them."""
    known = systemd.instances(at)
    asked = [one for one in side if known.get(one) != systemd.STOPPING and end(at, one)]
    until = time.monotonic() + PATIENCE_SECONDS
    for one in asked:
        if systemd.ends(at.unit(one), within_seconds=max(0.0, until - time.monotonic())):
            systemd.forget_failure(at.unit(one))


def end(at: Layout, one: Instance, queue: Optional[Quiet] = None) -> bool:
    """Ask an instance to stop within its own time limit; False: systemd asks it later. `queue` may
    hold earlier looks."""
    kind = kind_of(one)
    return kind.end(at, one, queue or kind.queue(at, one))
