"""Finds out, from later answers, what happened to hosts whose connection was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from cartwheel.errors import CartwheelError
from cartwheel.fleet.report import UNKNOWN, HostReport, Report
from cartwheel.fleet.sessions import Result, successes
from cartwheel.plan.host_plan import HostPlan

if TYPE_CHECKING:
    from cartwheel.host.wire.status import Status

# Asks lost hosts again, once they have recovered: the answers of `status`.
LookAgain: TypeAlias = "Callable[[Iterable[str]], Mapping[str, Result[Status]]]"


def looked_after(report: Report, plans: Mapping[str, HostPlan], look_again: LookAgain) -> Report:
    """The report, with the true outcome of every host whose outcome was unknown."""
    lost = [one.host for one in report.hosts if _is_in_doubt(one)]
    if not lost:
        return report
    seen = look_again(lost)
    hosts = [
        _judged(one, plans[one.host], seen.get(one.host)) if one.host in lost else one
        for one in report.hosts
    ]
    return replace(report, hosts=tuple(_agreed(hosts)))


def _is_in_doubt(one: HostReport) -> bool:
    """Whether it was lost after the request to switch, which may change the live release."""
    return one.outcome == "attention" and one.serves == UNKNOWN and one.error is not None


def _judged(one: HostReport, plan: HostPlan, seen: Result[Status] | None) -> HostReport:
    if seen is None or isinstance(seen, CartwheelError) or seen.pending:
        return replace(one, notes=(*one.notes, _alone(one.host, plan)))
    serves, last = seen.release, seen.last
    is_ours = last is not None and (last.seq or 0) > plan.seq and last.release == plan.release
    result = last.result if last is not None and is_ours else None
    known = replace(one, serves=serves)
    if result == "confirmed" and serves == plan.release:
        note = f"{one.host}: the connection was lost after the confirmation; it finishes by itself"
        return replace(known, outcome="deployed", error=None, notes=(*one.notes, note))
    if serves != plan.current:
        return known  # another run has changed it
    return replace(known, outcome="reverted" if result == "reverted" else "failed")


def is_behind(one: HostReport, report: Report) -> bool:
    """Whether it went back while other hosts of its fleet confirmed, as far as is known."""
    confirmed = any(other.outcome == "deployed" for other in report.hosts)
    known_back = one.serves != UNKNOWN and one.serves == one.before
    return confirmed and one.outcome == "attention" and known_back


def left_behind(statuses: Mapping[str, Result[Status]]) -> dict[str, str]:
    """The hosts whose last deploy was interrupted, each with its release, if other hosts of the
    fleet have confirmed it: from the first confirmation on, a fleet goes forward."""
    known = successes(statuses)
    confirmed = {one.content for one in known.values() if not one.pending}
    return {
        host: one.cut_off
        for host, one in known.items()
        if one.cut_off is not None and one.cut_off_content in confirmed and not one.lock
    }


def overtaken(report: Report, second: Report) -> Report:
    """The report, updated with the rows of a second run over some of its hosts."""
    rows = {one.host: one for one in second.hosts}
    hosts = [
        replace(rows[one.host], before=one.before, round_trips=one.round_trips)
        if one.host in rows
        else one
        for one in report.hosts
    ]
    return replace(report, hosts=tuple(hosts))


def _alone(host: str, plan: HostPlan) -> str:
    """A note about what an unreachable host does."""
    return (
        f"{host} cannot be reached: unless {plan.release} was confirmed there, it rolls back to"
        f" {plan.current or 'nothing'} by itself, also after a reboot; the next deploy continues"
    )


def _agreed(hosts: list[HostReport]) -> list[HostReport]:
    """If some hosts confirmed, a host that went back is behind, and needs another deploy."""
    if not any(one.outcome == "deployed" for one in hosts):
        return hosts
    return [
        replace(one, outcome="attention") if one.outcome in ("reverted", "failed") else one
        for one in hosts
    ]
