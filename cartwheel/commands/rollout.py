"""Carries out plans on all hosts, behind their balancer, and again on hosts that fell behind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from cartwheel.commands.again import forward, look_again
from cartwheel.commands.balancing import balancing
from cartwheel.commands.hooks import here
from cartwheel.commands.scene import Scene, connect
from cartwheel.fleet.balancer import Balancer
from cartwheel.fleet.deploy import run_plans
from cartwheel.fleet.report import Report
from cartwheel.fleet.sessions import Fleet
from cartwheel.plan.host_plan import HostPlan

# Reads the hosts and decides; called again if a host changed in between.
Planning = Callable[[Scene, Fleet], dict[str, HostPlan]]
Around = Callable[[Scene], AbstractContextManager[Balancer | None]]


def roll_out(scene: Scene, planning: Planning, around: Around = balancing) -> Report:
    """Connect, plan, bring every host to its plan's release. Raises CartwheelError before the
    first change; later failures are in the report."""

    def on(some: Scene) -> Report:
        most = some.rollout.max_failures
        with (
            around(some) as balancer,
            connect(some, changing=True, max_failures=most) as fleet,
        ):

            def look() -> dict[str, HostPlan]:
                return planning(some, fleet)

            terms = replace(some.terms, balancer=balancer, here=here(some))
            report = run_plans(fleet, look(), terms, replan=look, look_again=look_again(some))
        return fleet.counted(report)

    return forward(on(scene), scene, on)
