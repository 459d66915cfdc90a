"""The terms of a run, which are the same for all its hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cartwheel.plan.hooks import Hook
from cartwheel.plan.rollout import ALL_OR_NOTHING, Rollout

if TYPE_CHECKING:
    from cartwheel.fleet.balancer import Balancer

# Runs a hook on this machine, with variables for this phase. Raises CartwheelError("hook-failed").
Here: TypeAlias = Callable[[Hook, Mapping[str, str]], None]


def _nowhere(hook: Hook, _more: Mapping[str, str]) -> None:
    raise AssertionError(f"{hook}: nobody said how")


@dataclass(frozen=True)
class Terms:
    """How long to wait, in which order hosts switch, and behind which balancer."""

    lock_wait_seconds: float
    finish_seconds: float
    about_freeze: bool = False  # then a freeze does not refuse the task
    rollout: Rollout = ALL_OR_NOTHING
    balancer: Balancer | None = None  # in front of the hosts
    here: Here = _nowhere
