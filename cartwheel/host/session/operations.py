"""Every operation that the operator's side can ask for, by name."""

from __future__ import annotations

import errno
import functools
import time
from pathlib import Path
from typing import Any, Callable, Dict

from cartwheel.host import recover
from cartwheel.host.balancer import nginx_site, taken_out
from cartwheel.host.layout import Layout
from cartwheel.host.look import compare, facts, report
from cartwheel.host.release import install, leftovers, prepare, verify
from cartwheel.host.state import freeze, releases
from cartwheel.host.switch import switch
from cartwheel.host.system import locks
from cartwheel.host.system.context import Context, OpError, disk_full, no_room
from cartwheel.host.upkeep import jobs, setup, uninstall

Args = Dict[str, Any]
Operation = Callable[[Context, Args], Args]


def lock(ctx: Context, args: Args) -> Args:
    """Take the application's lock for the rest of the session, then settle what a crashed
    session left. `premise` tells whether a plan made before is still good.

    Raises OpError("locked"), and OpError("held") where the application is frozen, except for
    who comes about the freeze itself (`about_freeze`). What a crash left is settled all the
    same: safety is not frozen.
    """
    at = Layout(args["app"], Path(args["base"]))
    if "lock" in ctx.memory:
        return {"settled": [], "premise": releases.premise(at), "freeze": freeze.read(at)}
    holder = {
        "owner": args["who"],
        "message": args["message"],
        "since": time.strftime("%F %T"),
    }
    held = locks.acquire(at.lock, holder, wait_seconds=args["wait_seconds"], ctx=ctx)
    try:
        found = leftovers.find(at)
        say = functools.partial(ctx.emit, "repair", "note")
        done = recover.settle(at, say, found) if at.root.exists() else []
        if not args.get("about_freeze"):
            freeze.refuse_if_frozen(at)
    except BaseException:
        held.release()
        raise
    # Only now may this session change anything: see `_changing`.
    ctx.memory["lock"] = held
    ctx.memory["found"] = found  # for `repair`, which comes after
    ctx.at_end.append(held.release)
    return {"settled": done, "premise": releases.premise(at), "freeze": freeze.read(at)}


def unlock(ctx: Context, args: Args) -> Args:
    """Give the lock back while nothing has been changed under it: a fleet that meets a rival
    takes its locks anew, in order."""
    held = ctx.memory.pop("lock")
    ctx.at_end.remove(held.release)
    held.release()
    return {}


def _changing(operation: Operation) -> Operation:
    """Refuse to change an application whose lock this session does not hold."""

    @functools.wraps(operation)
    def guarded(ctx: Context, args: Args) -> Args:
        if "lock" not in ctx.memory:
            raise OpError("host-side", "the operator's side forgot to take the lock")
        return operation(ctx, args)

    return guarded


# What a disk answers that fails, or that the kernel took away for it (read(2), mount(2)).
_BROKEN_DISK = (errno.EIO, errno.EROFS, errno.ENXIO, errno.ENODEV, errno.EUCLEAN, errno.ESTALE)


def _clear_about_disk(operation: Operation) -> Operation:
    """A full or failing disk is the user's to mend: say so in one line, with the file."""

    @functools.wraps(operation)
    def guarded(ctx: Context, args: Args) -> Args:
        try:
            return operation(ctx, args)
        except OSError as error:
            if disk_full(error):
                what = error.filename or operation.__name__.replace("_", "-")
                raise no_room(str(what), str(args.get("base", "/srv"))) from error
            if error.errno in _BROKEN_DISK:
                where = error.filename or operation.__name__.replace("_", "-")
                raise OpError("disk-fails", "{}: {}".format(where, error.strerror)) from error
            raise

    return guarded


_READING: Dict[str, Operation] = {
    "probe": facts.probe,
    "compare": compare.compare,
    "status": report.status,
    "releases": report.list_releases,
    "history": report.history,
    "logs": report.logs,
    "examine": report.examine,
    "variables": jobs.variables,
    "nginx-test": jobs.nginx_test,
    "run": jobs.run,
    "lock-status": freeze.status,
    "balancer-look": taken_out.look,
}

_CHANGING: Dict[str, Operation] = {
    "unlock": unlock,
    "setup": setup.setup,
    "refresh": setup.refresh,
    "tool": prepare.tool,
    "upload": prepare.upload,
    "venv": install.venv,
    "install": install.install,
    "configure": prepare.configure,
    "verify": verify.verify,
    "complete": prepare.complete,
    "abandon": jobs.abandon,
    "migrate": jobs.migrate,
    "hook": jobs.hook,
    "switch": switch.switch,
    "watch": switch.watch,
    "confirm": switch.confirm,
    "finish": switch.finish,
    "go-back": switch.go_back,
    "unchanged": jobs.unchanged,
    "stop": jobs.stop,
    "start": jobs.start,
    "prune": jobs.prune,
    "packages": jobs.install_packages,
    "nginx-reload": jobs.nginx_reload,
    "repair": jobs.repair,
    "hold": freeze.hold,
    "release": freeze.release,
    "uninstall": uninstall.uninstall,
    "balancer-setup": nginx_site.install,
    "balancer-out": taken_out.take_out,
    "balancer-back": taken_out.put_back,
}

OPS: Dict[str, Operation] = {
    "lock": _clear_about_disk(lock),
    **{name: _clear_about_disk(operation) for name, operation in _READING.items()},
    **{name: _clear_about_disk(_changing(operation)) for name, operation in _CHANGING.items()},
}
