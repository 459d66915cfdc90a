"""A batch of hosts behind a balancer: taken out, switched, returned, and watched in traffic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartwheel.errors import CartwheelError
from cartwheel.events import Event
from cartwheel.fleet.sessions import Fleet, Result, failures, step_on_each, successes
from cartwheel.host.wire.messages import State
from cartwheel.plan import steps
from cartwheel.plan.host_plan import HostPlan

if TYPE_CHECKING:
    from cartwheel.fleet.balancer import Balancer
    from cartwheel.host.wire.switching import Switched

OUT, BACK = "out of the balancer", "back in the balancer"


@dataclass(frozen=True)
class Behind:
    """How hosts switch behind this balancer."""

    fleet: Fleet
    balancer: Balancer

    def switch(self, plans: Mapping[str, HostPlan]) -> dict[str, Result[Switched]]:
        """Switch these hosts without traffic; then put each of them back, because one that rolled
        back is healthy too. Hosts that switched are watched again once they have traffic, for as
        long as they had none."""
        kept = self.balancer.out(list(plans))
        self._tell(OUT, plans, kept)
        going = {host: steps.switch(plan) for host, plan in plans.items() if host not in kept}
        switched = step_on_each(self.fleet, going)
        stuck = self.balancer.back(list(plans))
        self._tell(BACK, plans, stuck)
        well = [host for host in successes(switched) if host not in stuck]
        in_traffic = [host for host in well if plans[host].has_web]
        proof = {host: steps.watch(plans[host].switching.watch_seconds) for host in in_traffic}
        watched = step_on_each(self.fleet, proof)
        return {**switched, **failures(watched), **kept, **stuck}

    def _tell(self, step: str, hosts: Iterable[str], failed: Mapping[str, CartwheelError]) -> None:
        for host in hosts:
            error = failed.get(host)
            state: State = "failed" if error else "done"
            self.fleet.emit(Event(step, state, error.message if error else "", host))


def around_seconds(balancer: Balancer, plan: HostPlan) -> float:
    """Upper bound for the time spent around a switch."""
    return balancer.around_seconds + steps.watch(plan.switching.watch_seconds).deadline_seconds
