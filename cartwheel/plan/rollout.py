"""The order in which the hosts of a fleet switch, and how many of them may fail; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from cartwheel.plan.host_plan import HostPlan

SIZE = re.compile(r"^(\d+)(%?)$")
_WHOLE_PERCENT = 100


@dataclass(frozen=True)
class Rollout:
    """`canary` and `batch` are numbers of hosts, or percentages of the fleet like `25%`."""

    canary: int | str = 1
    batch: int | str = "100%"
    pause_seconds: float = 0.0
    max_failures: int = 0  # this many hosts may fail while the others go on


class RolloutOptions(TypedDict, total=False):
    """The fields that a command's options set."""

    canary: str
    batch: str
    max_failures: int


ALL_OR_NOTHING = Rollout()
# The default: the other hosts carry all traffic while these are out.
BATCH_BEHIND_BALANCER = "25%"


def batches(hosts: Sequence[str], rollout: Rollout) -> list[list[str]]:
    """The canary, then batch by batch; every host once, no empty batch.

    A percentage is of all these hosts, rounded up. One host alone is one batch.
    """
    first = min(count(rollout.canary, len(hosts)), len(hosts))
    size = max(1, count(rollout.batch, len(hosts)))
    rest = [list(hosts[at : at + size]) for at in range(first, len(hosts), size)]
    return [batch for batch in (list(hosts[:first]), *rest) if batch]


def count(size: int | str, total: int) -> int:
    """The number of hosts of `total` that a size means. Raises ValueError if it is not a size."""
    found = SIZE.match(str(size))
    if not found:
        raise ValueError(f"{size!r} is neither a number nor a percentage like 25%")
    number = int(found[1])
    return -(-number * total // _WHOLE_PERCENT) if found[2] else number


def patient(
    plan: HostPlan,
    later: int,
    rollout: Rollout,
    around_seconds: float = 0.0,
    closing_seconds: float = 0.0,
) -> HostPlan:
    """The plan of a host with `later` batches after it. Its confirmation comes after the last
    batch has passed its checks. The time limit is the deadline and the pause of each batch, plus
    `around_seconds` for each batch including its own, plus `closing_seconds` between the last batch
    and the confirmation."""
    wait_seconds = later * (plan.switch_seconds + rollout.pause_seconds)
    wait_seconds += (later + 1) * around_seconds + closing_seconds
    switch = plan.switching
    switch = replace(switch, confirm_seconds=switch.confirm_seconds + wait_seconds)
    return replace(plan, switch=switch)
