"""Take the application's lock for a session, and release it."""

from __future__ import annotations

import functools
import time

from cartwheel.host import recover
from cartwheel.host.release import leftovers
from cartwheel.host.state import freeze, releases
from cartwheel.host.system import locks
from cartwheel.host.system.context import Context
from cartwheel.host.wire.locking import Lock, Locked, Unlock
from cartwheel.host.wire.request import Done


def lock(ctx: Context, request: Lock) -> Locked:
    """Take the application's lock for the rest of the session, then repair what a crashed session
    left. By `premise` the operator sees whether an earlier plan is still valid.

    Raises OpError("locked"), and OpError("held") if the application is frozen, unless the session
    is about the freeze itself. Crash leftovers are repaired even then: repairs are not frozen.
    """
    at = ctx.at
    if "lock" in ctx.memory:
        return Locked(releases.premise(at), freeze.read(at))
    holder = {"owner": ctx.about.who, "message": ctx.about.message, "since": time.strftime("%F %T")}
    held = locks.acquire(at.lock, holder, wait_seconds=request.wait_seconds, ctx=ctx)
    try:
        found = leftovers.find(at)
        if at.root.exists():
            recover.settle(at, functools.partial(ctx.emit, "repair", "note"), found)
        if not request.about_freeze:
            freeze.refuse_if_frozen(at)
    except BaseException:
        held.release()
        raise
    # Only now may this session change anything: see `operations.perform`.
    ctx.memory["lock"] = held
    ctx.memory["found"] = found  # for `repair`, which runs later
    ctx.at_end.append(held.release)
    return Locked(releases.premise(at), freeze.read(at))


def unlock(ctx: Context, request: Unlock) -> Done:
    """Release the lock while nothing has been changed under it: a run that meets another one takes
    the fleet's locks again, in order."""
    held = ctx.memory.pop("lock")
    ctx.at_end.remove(held.release)
    held.release()
    return Done()
