"""Every operation that the operator's side can request, by name.

An operation is a function that takes the context and its request, and returns its answer. Its
module is imported at its first request, so a session loads only what it needs.
"""

from __future__ import annotations

import errno
import functools
import importlib
import typing
from typing import Any, Callable, Dict, Optional

from cartwheel.host.system.context import Context, OpError, disk_full, no_room
from cartwheel.host.wire.codec import WireError, from_message, to_json
from cartwheel.host.wire.messages import Json, Table

# The place of each operation: a module below cartwheel.host, and its function.
READING: Dict[str, str] = {
    "probe": "look.facts:probe",
    "compare": "look.compare:compare",
    "status": "look.report:status",
    "processes": "look.processes:processes",
    "releases": "look.listing:list_releases",
    "history": "look.listing:history",
    "logs": "look.logs:logs",
    "examine": "look.examination:examine",
    "diagnose": "diagnose.diagnose:diagnose",
    "variables": "upkeep.inside:variables",
    "web-test": "upkeep.jobs:web_test",
    "run": "upkeep.inside:run",
    "lock-status": "state.freeze:status",
    "balancer-look": "balancer.taken_out:look",
    "lock": "session.locking:lock",
    "tls-status": "look.tls:look",
    "timers": "look.timers:look",
    "timer-output": "look.timers:output",
    "timer-run": "upkeep.timers:run",
    "look": "look.live:live",
    "monitor-status": "upkeep.monitors:status",
    "monitor-sshd": "upkeep.sshd:settings",
}
# Operations about the host as a whole: they take the short lock of what applications share, and
# neither a deploy nor a freeze of an application is in their way.
OF_HOST: Dict[str, str] = {
    "monitor-allow": "upkeep.monitors:allow",
    "monitor-forbid": "upkeep.monitors:forbid",
}
# Operations that are refused without the application's lock.
CHANGING: Dict[str, str] = {
    "unlock": "session.locking:unlock",
    "setup": "upkeep.setup:setup",
    "refresh": "upkeep.setup:refresh",
    "tool": "release.prepare:tool",
    "upload": "release.prepare:upload",
    "venv": "release.install:venv",
    "install": "release.install:install",
    "configure": "release.prepare:configure",
    "static": "release.static:make",
    "verify": "release.verify:verify",
    "site-test": "release.verify:test_site",
    "complete": "release.prepare:complete",
    "abandon": "upkeep.jobs:abandon",
    "migrate": "upkeep.jobs:migrate",
    "hook": "upkeep.jobs:hook",
    "switch": "switch.switch:switch",
    "watch": "switch.switch:watch",
    "confirm": "switch.switch:confirm",
    "finish": "switch.switch:finish",
    "let-go": "switch.holding:let_go",
    "take": "switch.holding:take",
    "go-back": "switch.switch:go_back",
    "unchanged": "upkeep.jobs:unchanged",
    "stop": "upkeep.jobs:stop",
    "start": "upkeep.jobs:start",
    "process-stop": "upkeep.processes:stop",
    "process-start": "upkeep.processes:start",
    "process-restart": "upkeep.processes:restart",
    "prune": "upkeep.jobs:prune",
    "packages": "upkeep.jobs:install_packages",
    "web-reload": "upkeep.jobs:web_reload",
    "repair": "upkeep.jobs:repair",
    "timer-pause": "upkeep.timers:pause",
    "timer-resume": "upkeep.timers:resume",
    "tls-install": "web.tls_change:install",
    "tls-remove": "web.tls_change:remove",
    "tls-acme": "web.acme:install",
    "tls-renew": "web.acme:renew",
    "users": "web.users:place",
    "watch-lists": "upkeep.watch_lists:place",
    "page-users": "upkeep.watch_lists:place_users",
    "maintenance-on": "web.maintenance:turn_on",
    "maintenance-off": "web.maintenance:turn_off",
    "hold": "state.freeze:hold",
    "release": "state.freeze:release",
    "uninstall": "upkeep.uninstall:uninstall",
    "balancer-setup": "balancer.nginx_site:install",
    "balancer-out": "balancer.taken_out:take_out",
    "balancer-back": "balancer.taken_out:put_back",
}

# Errors of a failing disk, or one that the kernel made read-only (read(2), mount(2)).
_BROKEN_DISK = (errno.EIO, errno.EROFS, errno.ENXIO, errno.ENODEV, errno.EUCLEAN, errno.ESTALE)


def perform(name: str, ctx: Context, asked: Table) -> Json:
    """Carry out the operation of that name; returns its answer as JSON types.

    Raises OpError, also for an unknown name, for a request that does not fit, and for a change
    without the application's lock.
    """
    place = READING.get(name) or OF_HOST.get(name) or CHANGING.get(name)
    if place is None:
        raise OpError("host-side", f"the host side has no operation '{name}'")
    if name in CHANGING and "lock" not in ctx.memory:
        raise OpError("host-side", "the operator's side did not take the lock")
    operation = _operation(place)
    request = _request(operation, asked)
    try:
        answer: Json = to_json(operation(ctx, request))
        return answer
    except OSError as error:
        problem = _about_disk(error, name, ctx)
        if problem is None:
            raise
        raise problem from error


# Any: an operation's own request and answer, which only its annotations know.
Operation = Callable[[Context, Any], Any]


@functools.lru_cache(maxsize=None)
def _operation(place: str) -> Operation:
    module, _, function = place.partition(":")
    found: Operation = getattr(importlib.import_module(f"cartwheel.host.{module}"), function)
    return found


def _request(operation: Operation, asked: Table) -> Any:
    """The record that the operation takes, from its annotation."""
    kind = typing.get_type_hints(operation)[operation.__code__.co_varnames[1]]
    try:
        return from_message(kind, asked)
    except WireError as error:
        raise OpError("host-side", f"{operation.__name__}: {error}") from None


def _about_disk(error: OSError, name: str, ctx: Context) -> Optional[OpError]:
    """Turn the error of a full or failing disk, which the user must fix, into one line that names
    the file."""
    where = str(error.filename or name)
    if disk_full(error):
        return no_room(where, ctx.about.base)
    if error.errno in _BROKEN_DISK:
        return OpError("disk-fails", f"{where}: {error.strerror}")
    return None
