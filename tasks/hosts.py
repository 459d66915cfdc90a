"""Words about the hosts themselves."""

from __future__ import annotations

from cartwheel.fab import FabContext, task


@task(
    help={"yes": "Trust without asking; for scripts that compared the fingerprint themselves."},
)
def trust(c: FabContext, yes: bool = False) -> int | None:
    """Show a host's key fingerprint and, after asking, remember it."""
    c.require_hosts()
    return None
