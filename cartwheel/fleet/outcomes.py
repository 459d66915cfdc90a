"""The outcome of each host of a run: one row of the final table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cartwheel.errors import CartwheelError, ConnectError
from cartwheel.fleet.report import UNKNOWN, HostReport, Outcome, Report
from cartwheel.fleet.sessions import Fleet, Result
from cartwheel.plan.host_plan import HostPlan

if TYPE_CHECKING:
    from cartwheel.host.wire.request import Done
    from cartwheel.host.wire.switching import WentBack

Plans = Mapping[str, HostPlan]


def is_open(result: object) -> bool:
    """Whether the host itself did not report how it ended."""
    return isinstance(result, ConnectError)


def after_going_back(
    host: str,
    plan: HostPlan,
    error: CartwheelError | None,
    undone: Result[WentBack] | None,
) -> HostReport:
    """The row of a host that was asked to go back, perhaps twice: a host that is back already, or
    never switched, reports its live release."""
    if undone is None or isinstance(undone, CartwheelError):
        why = error if undone is None else undone
        return HostReport(host, "attention", UNKNOWN, plan.current, why)
    outcome: Outcome = "reverted" if undone.reverted else "failed"
    if undone.serves != plan.current:
        outcome = "attention"
    return HostReport(host, outcome, undone.serves, plan.current, error)


def fallen(
    fleet: Fleet, host: str, plan: HostPlan, undone: Mapping[str, Result[WentBack]]
) -> HostReport:
    """The row of a host that failed while the others went on."""
    error = fleet.fallen[host]
    if host in undone or is_open(error):
        return after_going_back(host, plan, error, undone.get(host))
    return row_of(fleet, host, plan, "failed")


def after_confirming(
    host: str,
    plan: HostPlan,
    confirmed: Result[Done] | None,
    unfinished: CartwheelError | None,
    undone: Result[WentBack] | None = None,
) -> HostReport:
    """The row of a host in a fleet that goes forward: one that did not confirm is behind, and
    needs another deploy; `undone` is its answer to going back."""
    if isinstance(confirmed, CartwheelError):
        serves = plan.current if confirmed.slug == "reverted" else UNKNOWN
        if undone is not None and not isinstance(undone, CartwheelError):
            serves = undone.serves
        return HostReport(host, "attention", serves, plan.current, confirmed, plan.notes)
    if unfinished is not None:
        return HostReport(host, "attention", plan.release, plan.current, unfinished, plan.notes)
    outcome: Outcome = "unchanged" if plan.unchanged else "deployed"
    changed: tuple[str, ...] = (plan.users.what,) if plan.users else ()
    changed += (f"tls: {plan.tls.what}",) if plan.tls and plan.changes_tls else ()
    return HostReport(host, outcome, plan.release, plan.current, None, (*plan.notes, *changed))


def _in_sight(one: HostReport) -> HostReport:
    """A host that gets no requests needs a person, whatever release is live."""
    is_out = one.error is not None and one.error.slug == "balancer-stuck"
    return replace(one, outcome="attention") if is_out else one


def untouched(fleet: Fleet, plans: Plans, otherwise: Outcome) -> Report:
    """The report of a run that ended before any host switched."""
    return report_of(fleet, plans, lambda host, plan: row_of(fleet, host, plan, otherwise))


def row_of(fleet: Fleet, host: str, plan: HostPlan, otherwise: Outcome) -> HostReport:
    """The row of a host that did not switch."""
    error = fleet.fallen.get(host)
    outcome: Outcome = "failed" if error else "unchanged" if plan.unchanged else otherwise
    known = error is None or not (is_open(error) or error.slug == "facts-changed")
    serves = plan.current if known else UNKNOWN
    notes = () if error else plan.notes  # they are about what the deploy would have done
    return HostReport(host, outcome, serves, plan.current, error, notes)


def report_of(fleet: Fleet, plans: Plans, row: Callable[[str, HostPlan], HostReport]) -> Report:
    """The report over every host of the run: those with a plan, and those that never answered."""
    # A host that refused may have a plan without a release.
    some = next((plan for plan in plans.values() if plan.release), next(iter(plans.values())))
    rows = {host: _in_sight(row(host, plan)) for host, plan in plans.items()}
    for host, error in fleet.fallen.items():
        rows.setdefault(host, HostReport(host, "failed", UNKNOWN, UNKNOWN, error))
    return Report(some.release, some.version, tuple(rows.values()))
