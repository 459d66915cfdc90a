"""Repair an application without the operator: at boot, and after a killed session.

Installed on the host with the rest of this package (see `runtime`); run as
`recover APP BASE --boot` by the boot unit, as `recover APP BASE --settle` by the session's
unit when it stops in any way.
"""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import Callable, List, Optional

from cartwheel.host import layout
from cartwheel.host.balancer import taken_out
from cartwheel.host.layout import Layout
from cartwheel.host.process import instances, timers
from cartwheel.host.process.kinds import kind_of
from cartwheel.host.release import leftovers
from cartwheel.host.state import assignment, journal, pending, releases, sides
from cartwheel.host.switch import way_back
from cartwheel.host.system import files, locks
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web import tls_change
from cartwheel.host.wire.journal import Entry

_BOOT_PATIENCE_SECONDS = 300.0

Say = Callable[[str], None]


def main(argv: Optional[List[str]] = None) -> int:
    app, base, mode = (argv if argv is not None else sys.argv[1:])[:3]
    at = Layout(app, Path(base))
    if mode == "--settle" and is_settled(at):
        return 0
    try:
        lock = _lock(at, mode)
    except OpError as error:
        _tell(f"{app}: {error}")
        # Another session is at work; every session settles after it takes the lock.
        return 0 if mode == "--settle" else 1
    try:
        settle(at, _tell)
        if mode == "--boot":
            # Each check has a deadline of its own.
            prove_serving(Context.of_program(at, "recover", math.inf), at)
    except OpError as error:
        _tell(f"{app}: {error}\n{error.log}")
        return 1
    finally:
        lock.release()
    return 0


def _tell(text: str) -> None:
    """Print a line for the unit's journal at boot, or for the operator after a session, whose
    standard output has frames. If the channel is closed, go on: recovery must not stop half-way."""
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - for systemd's journal
    except OSError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it stays open


def _lock(at: Layout, mode: str) -> locks.Lock:
    """Take the lock; after a session, do not wait for another deploy. Raises OpError("locked")."""
    since, message = time.strftime("%F %T"), mode.lstrip("-")
    holder = {"owner": "cartwheel recover", "since": since, "message": message}
    wait_seconds = 0.0 if mode == "--settle" else _BOOT_PATIENCE_SECONDS
    return locks.acquire(at.lock, holder, wait_seconds=wait_seconds)


def prove_serving(ctx: Context, at: Layout) -> None:
    """Wait until what should serve is well. A confirmed release is never replaced, so at boot a
    failure only shows in the boot unit's state. Raises OpError("unhealthy")."""
    wanted = releases.serving(at)
    if wanted is None or at.stopped.exists():
        return
    probe = releases.manifest(at, wanted.release).probe
    if probe is None:
        return
    for one in sides.of(at, wanted):
        kind_of(one).prove(ctx, at, one, probe)


def is_settled(at: Layout) -> bool:
    """Whether there is nothing to repair; decided without the lock, so that it is cheap."""
    owed = taken_out.is_owed(at) or tls_change.is_owed(at)
    return not owed and not leftovers.find(at)


def settle(at: Layout, say: Say, found: Optional[List[leftovers.Leftover]] = None) -> None:
    """Roll back a switch that was not confirmed, finish one that was confirmed, start the live
    release, remove leftovers that no deploy can continue with; `say` gets what it did.

    The caller holds the lock, and may pass the leftovers that it `found`.
    """
    damaged = pending.set_damaged_aside(at)
    if damaged is not None:
        say(f"the mark of a switch was damaged, and was moved to {damaged}")
    found = leftovers.find(at) if found is None or damaged is not None else found
    _make_durable(at, found)
    if leftovers.is_unfinished(found):
        mark = pending.read(at)
        if mark is not None:
            say(f"the switch to {mark.to} was never confirmed")
            way_back.go_back(at, mark, "its session ended before the confirmation", say)
        _start_if_possible(at, say)
        timers.ensure(at)
        # First, because an instance that `fallback` still names must not be stopped.
        _complete_journal(at)
        _close_links(at, say)
        found = leftovers.find(at)
    _complete_journal(at)
    tls_change.settle(at, say)
    leftovers.clean(at, say, found, preparing=True)
    taken_out.settle(at, say)


def _make_durable(at: Layout, found: List[leftovers.Leftover]) -> None:
    """Make the killed session's changes durable: from here on they count as done, and no later step
    syncs them, so a power cut could undo them."""
    if at.root.exists():
        files.fsync_dir(at.root)  # a confirmation above all: the unlink of `pending.json`
    if found:
        for folder in (at.root, layout.UNITS):
            files.sync_filesystem(folder)


def start_serving(at: Layout) -> bool:
    """Start the release that `current` names, unless it runs or is stopped by `fab stop`."""
    wanted = releases.serving(at)
    if wanted is None or at.stopped.exists() or instances.are_running(at, sides.of(at, wanted)):
        return False
    releases.point_slot(at, instances.ensure_running(at, wanted, assignment.read(at)))
    return True


def _start_if_possible(at: Layout, say: Say) -> None:
    """Ignore a failed start: it must not prevent the deploy that makes the release again."""
    try:
        if start_serving(at):
            say(f"started {releases.pointed(at.current)}")
    except OpError as error:
        if error.slug != "not-whole":
            raise
        say(error.message)


def _close_links(at: Layout, say: Say) -> None:
    """Finish a session that was killed after its confirmation: the links, the old instance."""
    wanted = releases.serving(at)
    if wanted is None or releases.pointed(at.fallback) == wanted.release:
        return
    releases.point(at, at.previous, releases.rollback_target(at, wanted.release))
    releases.point(at, at.fallback, wanted.release)
    say("closed the switch to " + wanted.release)


def _complete_journal(at: Layout) -> None:
    """Add the confirmation's journal entry if a power cut or full disk prevented it: the live
    release was confirmed."""
    wanted = releases.serving(at)
    stack = journal.serving_stack(journal.read(at.journal))
    if wanted is None or stack[-1:] == [wanted.release]:
        return
    found = Entry(
        kind="rollback" if wanted.release in stack else "deploy",
        release=wanted.release,
        version=releases.manifest(at, wanted.release).version,
        commit=releases.manifest(at, wanted.release).commit or None,
        result="confirmed",
        who="cartwheel recover",
        reason="found live; its own journal entry was lost",
    )
    journal.append(at.journal, found)


if __name__ == "__main__":
    sys.exit(main())
