"""Change how hosts serve HTTPS; it belongs to a host, not to a release."""

from __future__ import annotations

from collections.abc import Mapping

from cartwheel.fleet.sessions import Fleet, Result, one_after_another, step_on_each
from cartwheel.host.wire.request import Done
from cartwheel.plan import steps
from cartwheel.plan.host_plan import Tls


def change_tls(fleet: Fleet, changes: Mapping[str, Tls | None]) -> dict[str, Result[Done]]:
    """Carry the changes out, at once where no certificate authority is asked; the result of each
    host that changes something."""
    asked = {host: step for host, one in changes.items() if (step := steps.tls(one))}
    slow = [host for host in asked if (one := changes[host]) and one.asks_authority]
    at_once = step_on_each(fleet, {host: asked[host] for host in asked if host not in slow})
    return {**at_once, **one_after_another(fleet, {host: asked[host] for host in slow})}
