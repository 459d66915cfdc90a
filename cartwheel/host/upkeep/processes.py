"""Stop, start and restart some processes of a running application.

web is none of them: a switch restarts it, because visitors must not notice.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import Collection, Dict, Iterable, Iterator, List, Sequence, Set

from cartwheel.host.layout import Layout
from cartwheel.host.process import advice, instances, listing
from cartwheel.host.process.kinds import kind_of
from cartwheel.host.release import leftovers
from cartwheel.host.state import assignment, journal, releases, stopped
from cartwheel.host.system import systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.instance import Instance
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.processes import (
    Handled,
    RestartProcesses,
    StartProcesses,
    StopProcesses,
)

_POLL_SECONDS = 0.2
_LOG_LINES = 25
_STEP = "processes"
_ON_ITS_OWN = "systemd starts it again whenever it ends"


def stop(ctx: Context, request: StopProcesses) -> Handled:
    """Ask the processes to finish their jobs and end, and leave the marks that boot, deploy and
    rollback respect; nothing waits for the jobs."""
    at, names = ctx.at, _here(ctx.at, request.names)
    marked = stopped.processes(at)
    changed = {name for name in names if name not in marked}
    with _noted(ctx, "stop", changed):
        for name in sorted(changed):
            stopped.mark(at, name, ctx.about)
        instances.retire(at, instances.running(at, names))
    return _handled(at, request.names, names, changed)


def start(ctx: Context, request: StartProcesses) -> Handled:
    """Remove the marks, start what does not run, and wait until it is ready."""
    at, names = ctx.at, _to_start(ctx.at, request.names)
    live = _serving(at)
    active = systemd.instances(at)
    down = [one for one in _side(at, live, names) if active.get(one) not in systemd.RUNNING]
    changed = {one.process for one in down}.union(stopped.processes(at).keys() & set(names))
    draining = {one.process for one in down if active.get(one) == systemd.STOPPING}
    with _noted(ctx, "start", changed):
        if draining:
            assignment.write(at, _in_free_slot(at, live, draining))
        for name in sorted(changed):
            stopped.clear(at, name)
        side = _side(at, live, changed)
        down = [one for one in side if active.get(one) not in systemd.RUNNING]
        with _remark(_ON_ITS_OWN):
            _start(ctx, down, request.probe)
    _clean(ctx)
    return _handled(at, request.names, names, changed)


def restart(ctx: Context, request: RestartProcesses) -> Handled:
    """Replace instances by new ones: beside the old ones if they may overlap, else once the old one
    has ended. If new ones do not get ready, the old ones stay; where there are none, systemd goes
    on starting the new one. Raises OpError("not-whole") before anything is done."""
    at, others = ctx.at, _elsewhere(ctx.at, request.names)
    names = [name for name in _to_start(at, request.names) if name not in others]
    live = _serving(at)
    _refuse_stopped(at, names)
    releases.refuse_spoilt(at, live.release)
    beside = {one.process for one in _side(at, live, names) if instances.overlaps(at, one)}
    with _noted(ctx, "restart", set(names)):
        with _remark("the old instances go on"):
            _replace(ctx, live, beside, request.probe)
        with _remark(_ON_ITS_OWN):
            for name in names:
                if name not in beside:
                    instances.retire(at, instances.running(at, [name]))
                    _start(ctx, _side(at, live, [name]), request.probe)
    _clean(ctx)
    return _handled(at, request.names, names, set(names))


def _replace(ctx: Context, live: Instance, names: Collection[str], probe: Probe) -> None:
    """Start new instances in another slot; once they are ready, that is their place, and the old
    ones are asked to end. Until then they are strays, which `recover` ends."""
    if not names:
        return
    at = ctx.at
    after = _in_free_slot(at, live, names)
    new = [one for one in after.side(live.release, live.slot) if one.process in names]
    try:
        _start(ctx, new, probe)
        assignment.write(at, after)
    except Exception:
        instances.retire(at, new)  # they may have begun jobs
        raise
    instances.retire(at, [one for one in instances.running(at, names) if one not in new])


def _in_free_slot(at: Layout, live: Instance, names: Collection[str]) -> Assigned:
    """What runs here, with those of these processes that may overlap in a slot that is free."""
    now = assignment.read(at)
    side = list(now.side(live.release, live.slot))
    free = instances.free(at, live.release, but=side)
    moved = {
        one.process: free.slot
        for one in side
        if free and one.process in names and instances.overlaps(at, one)
    }
    return replace(now, slots={**now.slots, **moved})


def _start(ctx: Context, some: Sequence[Instance], probe: Probe) -> None:
    """Start these instances and wait until they are ready. Raises OpError("not-ready")."""
    at, began = ctx.at, time.time()
    for one in some:
        if not instances.overlaps(at, one):
            instances.await_end(ctx, at, one.process)
        instances.start(ctx, at, one)
    proofs = [(one, kind_of(one).proof(ctx, at, one, probe)) for one in some]
    while True:
        lacking = []
        for one, proof in proofs:
            try:
                lacking.append(proof())
            except OpError as error:
                log = systemd.log(at.unit(one), _LOG_LINES, began)
                hint = advice.of_log(log) or error.hint
                raise OpError(error.slug, error.message, hint, log) from error
        lacks = next(filter(None, lacking), "")
        if not lacks:
            return
        ctx.progress(_STEP, lacks)
        ctx.pause(_POLL_SECONDS)


def _here(at: Layout, names: Sequence[str]) -> List[str]:
    """Those of the processes that this host has, or may be given. Raises
    OpError("not-deployed")."""
    if releases.serving(at) is None:
        raise OpError("not-deployed", f"{at.app} is not deployed on this host")
    known = listing.known(at)
    return [name for name in names if name in known]


def _to_start(at: Layout, names: Sequence[str]) -> List[str]:
    """Those of them that are here, or that somebody has stopped here."""
    there = {*assignment.read(at).counts, *stopped.processes(at)}
    return [name for name in _here(at, names) if name in there]


def _elsewhere(at: Layout, names: Sequence[str]) -> Dict[str, str]:
    """Those of the processes that another host has, and which one."""
    what = assignment.read(at)
    others = {name: what.holders.get(name, "") for name in names if not what.has(name)}
    return {name: holder for name, holder in others.items() if holder}


def _serving(at: Layout) -> Instance:
    """The live release's web. Raises OpError("stopped") if the whole application is stopped."""
    live = releases.serving(at)
    if live is None or at.stopped.exists():
        raise OpError("stopped", f"{at.app} is stopped", "`fab start -H HOST` starts all of it.")
    return live


def _refuse_stopped(at: Layout, names: Sequence[str]) -> None:
    """Raises OpError("stopped")."""
    known = stopped.processes(at)
    for name in names:
        if name in known:
            said = f"{name} is stopped by {known[name].who} since {known[name].since}"
            hint = f"`fab process.start -H HOST --name {name}` starts it."
            raise OpError("stopped", said, hint)


def _side(at: Layout, live: Instance, names: Collection[str]) -> List[Instance]:
    """The instances of these processes that belong to this host."""
    side = assignment.read(at).side(live.release, live.slot)
    return [one for one in side if one.process in names]


@contextlib.contextmanager
def _noted(ctx: Context, kind: str, names: Set[str]) -> Iterator[None]:
    """Add a line to the journal if anything changes, also about a failure."""
    at, about = ctx.at, ctx.about
    entry = Entry(
        kind="process." + kind,
        process=", ".join(sorted(names)),
        release=releases.pointed(at.current),
        result="done",
        who=about.who,
        message=about.message,
    )
    try:
        yield
    except Exception as error:
        journal.append(at.journal, replace(entry, result="failed", reason=str(error) or "cut off"))
        raise
    if names:
        journal.append(at.journal, entry)


@contextlib.contextmanager
def _remark(text: str) -> Iterator[None]:
    """Add to a failure what happens next."""
    try:
        yield
    except OpError as error:
        raise OpError(error.slug, f"{error.message}; {text}", error.hint, error.log) from error


def _clean(ctx: Context) -> None:
    leftovers.clean(ctx.at, lambda text: ctx.emit("repair", "note", text), preparing=True)


def _handled(
    at: Layout, asked: Sequence[str], names: Iterable[str], changed: Collection[str]
) -> Handled:
    others = _elsewhere(at, asked)
    names = tuple(name for name in names if name not in others)
    left = tuple(one for one in listing.draining(at) if one.process in names)
    return Handled(bool(changed), names, left, others)
