"""Give up, or take, what only one host of a fleet has (`wire.holding`)."""

from __future__ import annotations

import time
from typing import List

from cartwheel.host.layout import Layout
from cartwheel.host.process import instances
from cartwheel.host.process import timers as units
from cartwheel.host.process.kinds import kind_of
from cartwheel.host.state import assignment, pending, releases, sides, stopped, timers
from cartwheel.host.system import systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.assigned import Assigned, held_timer, timer_of
from cartwheel.host.wire.holding import Given, LetGo, Take
from cartwheel.host.wire.instance import Instance
from cartwheel.host.wire.request import Done

_LOG_LINES = 25


def let_go(ctx: Context, request: LetGo) -> Given:
    """Safe to repeat. Raises OpError("facts-changed") while a switch is pending, whose way back
    would take it again, and OpError("deadline") if it does not end."""
    at, timer = ctx.at, timer_of(request.name)
    _refuse_pending(at)
    if not at.root.exists():  # it is not set up here
        return Given(False)
    changed = _write(at, assignment.read(at).without(request.name, request.to))
    if timer is not None:
        units.await_end(ctx, at, timer)
        units.ensure(at)
        return Given(changed, timers.record(at, timer))
    for one in instances.running(at, (request.name,)):
        systemd.stop(at.unit(one))
    instances.await_end(ctx, at, request.name)
    return Given(changed)


def take(ctx: Context, request: Take) -> Done:
    """Raises OpError("facts-changed") where the live release cannot run it, and the reason why it
    does not get ready: then it is still this host's, until it lets go."""
    at, began, timer = ctx.at, time.time(), timer_of(request.name)
    _refuse_pending(at)
    wanted = releases.serving(at)
    if wanted is None or request.name not in _of_release(at, wanted.release):
        raise OpError("facts-changed", f"the live release has no {request.name}")
    if timer is None:
        stopped.put(at, request.name, request.stopped)
    else:
        timers.go_on(at, timer, request.record)
    changed = _write(at, assignment.read(at).having(request.name, request.me))
    if timer is not None:
        units.ensure(at)
    for one in sides.of(at, wanted):
        if one.process == request.name and not at.stopped.exists():
            _start(ctx, one, request, began)
    return Done(changed)


def _of_release(at: Layout, release: str) -> List[str]:
    """What the live release can run, by the names of `Assigned.holders`."""
    return [*releases.processes(at, release), *map(held_timer, timers.known(at))]


def _start(ctx: Context, one: Instance, request: Take, began: float) -> None:
    try:
        instances.start(ctx, ctx.at, one)
        kind_of(one).prove(ctx, ctx.at, one, request.probe)
    except OpError as error:
        log = systemd.log(ctx.at.unit(one), _LOG_LINES, began) or error.log
        raise OpError(error.slug, error.message, error.hint, log) from error


def _refuse_pending(at: Layout) -> None:
    if pending.look(at) is not None:
        raise OpError("facts-changed", "a switch is not confirmed yet")


def _write(at: Layout, what: Assigned) -> bool:
    """Durable on return. A rollback to the live release must not bring it back elsewhere."""
    changed, release = assignment.write(at, what), releases.pointed(at.current)
    if release is not None:
        assignment.note(at, release, what)
    return changed
