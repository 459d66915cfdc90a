"""Roll back to the old release: in the live session, the installed recover, or the boot unit."""

from __future__ import annotations

import contextlib
import time
from typing import Callable, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.process import instances
from cartwheel.host.process.kinds import kind_of
from cartwheel.host.state import journal, releases
from cartwheel.host.state.pending import clear, drop_links_on
from cartwheel.host.system import files, locks, systemd
from cartwheel.host.system.context import OpError
from cartwheel.host.web import configuration
from cartwheel.host.web.kinds import web_server
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
    releases.point(at, at.current, pending.was)
    if pending.shared:
        _put_shared_back(pending)
    releases.point(at, at.fallback, pending.was_fallback)
    releases.point(at, at.previous, pending.was_previous)
    keep_log(at, pending.to, log_of(at, pending, _LOG_LINES))
    for one in releases.side(at, pending.new):
        instances.retire(at, one)
    if pending.fresh and is_bad:
        releases.discard(at, pending.to)
    journal.append(at.journal, pending.entry("reverted", reason))
    clear(at, pending)
    drop_links_on(at)


def _put_shared_back(pending: Pending) -> None:
    """Reload the web server even if its files are restored already: an interrupted rollback may not
    have got that far. Raises OpError once, not on every retry."""
    with locks.shared_parts():
        changed = configuration.put_back(pending.shared)
        try:
            configuration.reload(None, web_server())
        except OpError:
            if changed:
                raise


def _ensure_running(at: Layout, pending: Pending) -> Optional[Instance]:
    """The old release's serving instance. It is warm unless there was a power cut or somebody
    stopped it."""
    if pending.old is None or at.stopped.exists():
        return pending.old
    try:
        return instances.ensure_running(at, pending.old, but=pending.new)
    except OpError as error:
        if error.slug != "not-whole":
            raise
        return pending.old  # it was down before too; the links are restored all the same


def discard(at: Layout, pending: Pending) -> None:
    """Remove the first instances of a switch without a pending mark; their log is kept."""
    keep_log(at, pending.to, log_of(at, pending, _LOG_LINES))
    for one in releases.side(at, pending.new):
        if kind_of(one).starts == "first":
            kind_of(one).discard(at, one)


def log_of(at: Layout, pending: Pending, lines: int) -> str:
    """The last log lines of the switch's new instances."""
    units = [at.unit(one) for one in releases.side(at, pending.new)]
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
