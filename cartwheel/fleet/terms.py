"""What all hosts of a run share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cartwheel.plan.model import Operator
from cartwheel.plan.rollout import ALL_OR_NOTHING, Rollout

if TYPE_CHECKING:
    from cartwheel.balance.model import Balancer


@dataclass(frozen=True)
class Terms:
    """What all hosts of a run share: the application, who asks, how long to wait, in which
    order they switch."""

    app: str
    base: str
    operator: Operator
    lock_wait_seconds: float
    finish_seconds: float
    about_freeze: bool = False  # the freeze itself is the matter: it does not refuse
    rollout: Rollout = ALL_OR_NOTHING
    balancer: Balancer | None = None  # in front of the hosts

    @property
    def args(self) -> dict[str, Any]:
        return {
            "app": self.app,
            "base": self.base,
            "who": self.operator.who,
            "message": self.operator.message,
        }
