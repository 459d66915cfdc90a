"""What the kinds of processes share."""

from __future__ import annotations

import time
from typing import Optional

from cartwheel.host.system.systemd import UnitState
from cartwheel.host.wire.instance import Instance


def named(one: Instance) -> str:
    """`worker 2`, as people read it."""
    return f"{one.process} {one.number}" if one.number else one.process


def age(state: UnitState) -> Optional[float]:
    """Seconds that the unit has been up, independent of the host's clock."""
    if state.since_monotonic is None or not state.is_up:
        return None
    return round(time.clock_gettime(time.CLOCK_MONOTONIC) - state.since_monotonic, 1)
