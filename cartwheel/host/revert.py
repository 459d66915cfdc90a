"""Go back to what served before: the one way back for the live session, the installed
recover and the boot unit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable, Optional

from . import files, journal, locks, nginx, releases, systemd
from .context import OpError
from .drain import wait_until_quiet
from .layout import Layout
from .pending import Pending, clear, drop_links_on

_LOG_LINES = 200
_DRAIN_SECONDS = 5.0
_STOP_SECONDS = 40.0

Say = Callable[[str], None]


def go_back(
    at: Layout,
    pending: Pending,
    reason: str,
    say: Say = lambda _text: None,
    *,
    is_bad: bool = False,
) -> None:
    """Put links and shared files back, tidy, then close the pending switch.

    A release that was made for it goes where it `is_bad`; else it stays, whole as it is, and the
    next deploy goes on with it. Safe to run again after a crash at any point: every step sets a
    state, none toggles, and the switch stays pending until the last one is done.
    """
    if pending.was is not None:
        say("going back to " + pending.was)
        _ensure_running(at, pending)
        if pending.was_slot is not None:
            releases.point_slot(at, pending.was, pending.was_slot)
    releases.point(at, at.current, pending.was)
    if pending.shared:
        _put_shared_back(pending)
    releases.point(at, at.fallback, pending.was_fallback)
    releases.point(at, at.previous, pending.was_previous)
    discard_instance(at, pending, drain=True)
    if pending.fresh and is_bad:
        releases.discard(at, pending.to)
    journal.append(at.journal, pending.entry("reverted", reason))
    clear(at, pending)
    drop_links_on(at)


def _put_shared_back(pending: Pending) -> None:
    """nginx reads them anew even where they are back already: a way back that was killed
    may not have got that far. Raises OpError("nginx-refuses") once, not for ever."""
    with locks.shared_parts():
        changed = nginx.put_back(pending.shared)
        try:
            nginx.reload(None)
        except OpError:
            if changed:
                raise


def _ensure_running(at: Layout, pending: Pending) -> None:
    """The old instance is warm, unless the power was cut in between."""
    if pending.was is None or pending.was_slot is None or at.stopped.exists():
        return
    unit = at.unit(pending.was, pending.was_slot)
    if systemd.state(unit).active not in ("active", "activating"):
        systemd.install(at, pending.was, pending.was_slot)
        systemd.start(None, unit)


def discard_instance(at: Layout, pending: Pending, *, drain: bool = False) -> Optional[Path]:
    """Stop the switch's new instance, which does not serve (any more); where its log is kept."""
    release, slot = pending.to, pending.to_slot
    unit = at.unit(release, slot)
    state = systemd.state(unit)
    kept = _keep_log(at, pending, unit)
    if drain and state.is_up and not state.has_failed:
        wait_until_quiet(at.socket(release, slot), timeout_seconds=_DRAIN_SECONDS)
        systemd.stop(unit, timeout_seconds=_STOP_SECONDS)
    else:
        systemd.kill(unit)
    files.remove(at.unit_file(release, slot))
    return kept


def _keep_log(at: Layout, pending: Pending, unit: str) -> Optional[Path]:
    """Save a failed instance's last lines under /var/log/cartwheel/APP (0640)."""
    return keep_log(at, pending.to, systemd.log(unit, _LOG_LINES, pending.started))


def keep_log(at: Layout, release: str, text: str) -> Optional[Path]:
    """Save what is known of a failed release under /var/log/cartwheel/APP (0640), for those
    who may read logs; where it is. A full disk does not stop anything."""
    if not text.strip() or not at.logs.is_dir():
        return None
    path = at.logs / "{}.{}.log".format(release, int(time.time()))
    try:
        group = at.logs.stat().st_gid
        files.write(path, text.encode("utf-8", "replace") + b"\n", 0o640, (0, group))
    except OSError:
        return None
    return path
