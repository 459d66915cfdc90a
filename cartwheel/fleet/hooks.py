"""Runs hooks before and after phases: once here or on one host, or on every host."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from cartwheel.errors import CartwheelError, HostError
from cartwheel.fleet.outcomes import Plans, is_open
from cartwheel.fleet.sessions import Fleet, failures, step_on_each
from cartwheel.fleet.terms import Terms
from cartwheel.plan import steps
from cartwheel.plan.hooks import Hook, Moment, Side
from cartwheel.plan.host_plan import HostPlan
from cartwheel.settings.phases import Phase

Failed: TypeAlias = dict[str, CartwheelError]


@dataclass(frozen=True)
class Hooks:
    """The hooks of a fleet. Every failure belongs to hosts: a hook that runs once is for all."""

    fleet: Fleet
    terms: Terms

    def around(self, phase: Phase, plans: Plans, work: Callable[[Plans], Failed]) -> Failed:
        """The hooks before a phase, its `work`, the hooks after it; only with hosts that all of
        it went well with so far. The hosts that failed."""
        failed = self.at("before", phase, plans)
        failed |= work(without(plans, failed))
        return failed | self.at("after", phase, without(plans, failed))

    def at(self, side: Side, phase: Phase, plans: Plans, *, each: bool | None = None) -> Failed:
        """Run the hooks before or after a phase, in the order of the settings: those of `each`
        host, those that run once, or all. Returns the hosts that failed."""
        moment = Moment(side, phase)
        known = next(iter(plans.values())).hooks if plans else ()
        failed: Failed = {}
        for hook in known:
            if hook.moment == moment and each in (None, hook.where == "hosts"):
                failed |= self._failed_by(hook, without(plans, failed))
        return failed

    def _failed_by(self, hook: Hook, plans: Plans) -> Failed:
        """Run a hook; the hosts that failed, none if its failure is only reported."""
        if not plans:
            return {}
        if hook.where == "here":
            failed = self._here(hook, plans)
        elif hook.where == "one-host":
            failed = _for_all(self._on_hosts(hook, dict(list(plans.items())[:1])), plans)
        else:
            failed = self._on_hosts(hook, plans)
        return {host: why for host, why in failed.items() if hook.stops or is_open(why)}

    def _here(self, hook: Hook, plans: Plans) -> Failed:
        some = next(iter(plans.values()))
        more = {"hosts": " ".join(plans), "release": some.release, "version": some.version}
        try:
            self.terms.here(hook, more)
        except CartwheelError as error:
            return {host: _of_host(host, error) for host in plans}
        return {}

    def _on_hosts(self, hook: Hook, plans: Plans) -> Failed:
        asked = {host: steps.hook(plan, hook, host) for host, plan in plans.items()}
        return failures(step_on_each(self.fleet, asked))


def _for_all(failed: Failed, hosts: Iterable[str]) -> Failed:
    """A hook on one host runs for all hosts: they fail too, and the error names that host."""
    for where, error in failed.items():
        others = {host: _of_host(host, error, f" on {where}") for host in hosts if host != where}
        return {**others, where: error}
    return {}


def _of_host(host: str, error: CartwheelError, where: str = "") -> CartwheelError:
    return HostError("hook-failed", error.message + where, host=host, detail=error.detail)


def only(plans: Plans, hosts: Iterable[str]) -> dict[str, HostPlan]:
    """The plans of these hosts, for those that have one."""
    return {host: plans[host] for host in hosts if host in plans}


def without(plans: Plans, hosts: Iterable[str]) -> dict[str, HostPlan]:
    """The plans of all other hosts."""
    gone = set(hosts)
    return {host: plan for host, plan in plans.items() if host not in gone}
