"""List the processes and timers of an application. Changes nothing."""

from __future__ import annotations

from cartwheel.host.look import timers
from cartwheel.host.process import listing
from cartwheel.host.state import releases
from cartwheel.host.system.context import Context
from cartwheel.host.wire.processes import AskProcesses, Processes


def processes(ctx: Context, request: AskProcesses) -> Processes:
    """Every instance and timer of this application on this host."""
    at = ctx.at
    release = releases.pointed(at.current)
    return Processes(release, tuple(listing.rows(at)), timers.here(at), listing.known(at))
