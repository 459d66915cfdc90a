"""A batch of hosts behind a balancer: out of it, switched, back, and then watched in traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cartwheel.errors import CartwheelError
from cartwheel.events import Event, State
from cartwheel.fleet.sessions import Fleet, Result, failures, step_on_each, successes
from cartwheel.plan.model import Step

if TYPE_CHECKING:
    from cartwheel.balance.model import Balancer

OUT, BACK = "out of the balancer", "back in the balancer"
_WATCH_SECONDS = 60.0


@dataclass(frozen=True)
class Behind:
    """How hosts switch behind this balancer."""

    fleet: Fleet
    balancer: Balancer

    def switch(self, steps: Mapping[str, Step]) -> dict[str, Result[dict[str, Any]]]:
        """Switch these hosts out of traffic; each comes back whatever it came to, because one
        that went back serves well too. Those that switched prove themselves once they have
        traffic again."""
        kept = self.balancer.out(list(steps))
        self._tell(OUT, steps, kept)
        going = {host: step for host, step in steps.items() if host not in kept}
        switched = step_on_each(self.fleet, going, "switch")
        stuck = self.balancer.back(list(steps))
        self._tell(BACK, steps, stuck)
        well = [host for host in successes(switched) if host not in stuck]
        proof = {host: watch(steps[host]) for host in well}
        unwell = failures(step_on_each(self.fleet, proof, "watch"))
        return {**switched, **unwell, **kept, **stuck}

    def _tell(
        self, step: str, hosts: Mapping[str, Step], failed: Mapping[str, CartwheelError]
    ) -> None:
        for host in hosts:
            error = failed.get(host)
            state: State = "failed" if error else "done"
            self.fleet.emit(Event(step, state, error.message if error else "", host))


def watch(switch: Step) -> Step:
    """What a host that has switched does once it has traffic again: as long as it was watched
    without any."""
    seconds = switch.args["probation_seconds"]
    args = {key: switch.args[key] for key in ("app", "base")}
    return Step("watch", "watch", seconds + _WATCH_SECONDS, {**args, "seconds": seconds})


def around_seconds(balancer: Balancer, switch: Step) -> float:
    """What is around a switch takes at most so long."""
    return balancer.around_seconds + watch(switch).deadline_seconds
