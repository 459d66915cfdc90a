"""Roll back to the old release: in the live session, the installed recover, or the boot unit."""

from __future__ import annotations

import contextlib
import time
from typing import Callable, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.process import instances, timers
from cartwheel.host.process.kinds import kind_of
from cartwheel.host.state import assignment, journal, releases, sides
from cartwheel.host.state.pending import clear, forget
from cartwheel.host.system import files, locks, systemd
from cartwheel.host.system.context import OpError
from cartwheel.host.web import configuration
from cartwheel.host.web.chosen import web_server
from cartwheel.host.wire.instance import Instance
from cartwheel.host.wire.pending import Pending

_LOG_LINES = 200

Say = Callable[[str], None]


def go_back(
    at: Layout,
    pending: Pending,
    reason: str,
    say: Say = lambda _text: None,
    *,
    is_bad: bool = False,
) -> None:
    """Restore links and shared files, clean up, then close the pending switch.

    The new instance finishes its requests and stops (see `instances`). A release that was made for
    the switch is removed if it `is_bad`; otherwise it stays, and the next deploy uses it. Safe to
    run again after a crash at any point: every step sets a state, none toggles, and the switch
    stays pending until the last one is done.
    """
    if pending.was is not None:
        say("going back to " + pending.was)
        old = _ensure_running(at, pending)
        if old is not None:
            releases.point_slot(at, old)
        assignment.point(at, pending.was_assigned)
    else:
        files.remove(at.assigned)
    releases.point(at, at.current, pending.was)
    timers.ensure(at)
    if pending.shared:
        _put_shared_back(at, pending)
    releases.point(at, at.fallback, pending.was_fallback)
    releases.point(at, at.previous, pending.was_previous)
    keep_log(at, pending.to, log_of(at, pending, _LOG_LINES))
    instances.retire(at, pending.new_side)
    if pending.fresh and is_bad:
        releases.discard(at, pending.to)
    journal.append(at.journal, pending.entry("reverted", reason))
    clear(at, pending)
    forget(at)


def _put_shared_back(at: Layout, pending: Pending) -> None:
    """Reload the web server even if its files are restored already: an interrupted rollback may not
    have got that far. Raises OpError once, not on every retry."""
    with locks.shared_parts():
        changed = configuration.put_back(pending.shared)
        try:
            configuration.reload(None, web_server(at), start=pending.was_assigned.has_web)
        except OpError:
            if changed:
                raise


def _ensure_running(at: Layout, pending: Pending) -> Optional[Instance]:
    """The old release's serving instance. It is warm unless there was a power cut or somebody
    stopped it."""
    if pending.old is None or at.stopped.exists():
        return pending.old
    try:
        was = pending.was_assigned
        return instances.ensure_running(at, pending.old, was, but=pending.new_side)
    except OpError as error:
        if error.slug != "not-whole":
            raise
        return pending.old  # it was down before too; the links are restored all the same


def discard(at: Layout, pending: Pending) -> None:
    """Remove the instances of a switch without a pending mark; their log is kept."""
    keep_log(at, pending.to, log_of(at, pending, _LOG_LINES))
    for one in pending.new_side:
        if sides.starts(at, one) == "first":
            kind_of(one).discard(at, one)


def log_of(at: Layout, pending: Pending, lines: int) -> str:
    """The last log lines of the switch's new instances."""
    units = [at.unit(one) for one in pending.new_side]
    said = [systemd.log(unit, lines, pending.started) for unit in units]
    return "\n".join(filter(None, said))


def keep_log(at: Layout, release: str, text: str) -> None:
    """Save the log of a failed release under /var/log/cartwheel/APP (0640), for those who may read
    logs. A full disk is ignored."""
    if text.strip() and at.logs.is_dir():
        path = at.logs / f"{release}.{int(time.time())}.log"
        with contextlib.suppress(OSError):
            owner = (0, at.logs.stat().st_gid)
            files.write(path, text.encode("utf-8", "replace") + b"\n", 0o640, owner)
