"""A deploy over all hosts: prepare all, then switch, confirm, finish.

A failure before the first confirmation rolls every host back, unless this many hosts are allowed
to fail. From the first confirmation on, the fleet goes forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cartwheel.errors import CartwheelError, HostError
from cartwheel.events import Event
from cartwheel.fleet.behind import Behind, around_seconds
from cartwheel.fleet.hooks import Hooks, only, without
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.moving import move_all, moves_of
from cartwheel.fleet.outcomes import (
    Plans,
    after_confirming,
    after_going_back,
    fallen,
    is_open,
    report_of,
    row_of,
    untouched,
)
from cartwheel.fleet.report import HostReport, Report
from cartwheel.fleet.sessions import (
    Fleet,
    Result,
    failures,
    step_on_each,
    successes,
)
from cartwheel.fleet.terms import Terms
from cartwheel.fleet.tls import change_tls
from cartwheel.fleet.truth import LookAgain, looked_after
from cartwheel.host.wire.locking import Locked
from cartwheel.host.wire.request import Done
from cartwheel.plan import steps
from cartwheel.plan.hooks import pending_seconds
from cartwheel.plan.host_plan import HostPlan
from cartwheel.plan.rollout import batches, patient
from cartwheel.plan.step import Stage, Step

if TYPE_CHECKING:
    from cartwheel.host.wire.switching import Finished, Switched, WentBack
    from cartwheel.ssh.session import Session


def run_plans(
    fleet: Fleet,
    plans: Plans,
    terms: Terms,
    *,
    until: Stage | None = None,
    replan: Callable[[], Plans] | None = None,
    look_again: LookAgain | None = None,
) -> Report:
    """Bring every host to its plan's release, or leave every host as it was.

    With `until` it ends when that stage is prepared; the prepared release stays for later, and no
    hook runs, because nothing is finished.
    `replan` makes new plans if a host changed between reading its facts and the lock;
    `look_again` asks hosts that were lost which release is live.
    """
    fleet.drop(_refusals(plans))
    if not fleet.can_go_on:
        return untouched(fleet, plans, "not-tried")
    locked = lock_all(fleet, fleet.standing, terms)
    fleet.drop(failures(locked))
    if not fleet.can_go_on:
        return untouched(fleet, plans, "not-tried")
    if replan is not None and _are_stale(plans, successes(locked)):
        plans = {**plans, **replan()}
        fleet.drop(_refusals(plans))
        if not fleet.can_go_on:
            return untouched(fleet, plans, "not-tried")
    idle = [host for host in fleet.standing if plans[host].unchanged]
    busy = {host: plans[host] for host in fleet.standing if host not in idle}
    if until is not None:
        fleet.drop(_prepare(fleet, busy, until))
        return untouched(fleet, plans, "prepared" if fleet.can_go_on else "not-tried")
    report = _carry_out(fleet, plans, idle, busy, terms)
    return report if look_again is None else looked_after(report, plans, look_again)


def _are_stale(plans: Plans, locked: Mapping[str, Locked]) -> bool:
    return any(answer.premise != plans[host].premise for host, answer in locked.items())


def _carry_out(
    fleet: Fleet, plans: Plans, idle: Iterable[str], busy: Plans, terms: Terms
) -> Report:
    """Carry out the plans: all hosts are locked, and unchanged since the plans were made."""
    if terms.balancer is not None:
        terms.balancer.refuse(batches(list(busy), terms.rollout))
    fleet.drop(_note_unchanged(fleet, only(plans, idle), terms))
    if not fleet.can_go_on:
        return untouched(fleet, plans, "not-tried")
    hooks = Hooks(fleet, terms)
    unprepared = hooks.around("prepare", busy, lambda some: _prepare(fleet, some))
    fleet.drop(unprepared)
    if not fleet.can_go_on:
        _abandon(fleet, busy, unprepared)
        return untouched(fleet, plans, "not-tried")
    _abandon(fleet, only(busy, unprepared), unprepared)
    busy = without(busy, unprepared)
    unmigrated = _migrate(hooks, busy)
    if unmigrated:
        _abandon(fleet, busy, unmigrated)
        fleet.drop(unmigrated)
        return untouched(fleet, plans, "not-tried")
    return _switch_all(hooks, plans, busy)


def _refusals(plans: Plans) -> dict[str, CartwheelError]:
    """If one host cannot take the release, no host is changed; with every reason."""
    return {
        host: HostError(
            plan.refusals[0].slug,
            "; ".join(refusal.message for refusal in plan.refusals),
            host=host,
        )
        for host, plan in plans.items()
        if plan.refusals
    }


def _note_unchanged(fleet: Fleet, idle: Plans, terms: Terms) -> dict[str, CartwheelError]:
    """Hosts on which the release is already live record that in their journal."""

    def note(host: str, _session: Session) -> None:
        fleet.request(host, steps.unchanged(idle[host], terms.finish_seconds))

    return failures(fleet.each(note, idle))


def _prepare(fleet: Fleet, busy: Plans, until: Stage | None = None) -> dict[str, CartwheelError]:
    def prepare(host: str, _session: Session) -> None:
        fleet.run_steps(host, steps.prepare(busy[host], until), group="prepare")

    return failures(fleet.each(prepare, busy))


def _migrate(hooks: Hooks, busy: Plans) -> dict[str, CartwheelError]:
    """Migrate once, on the first host that has something to migrate; the failure, by host."""

    def migrate(some: Plans) -> dict[str, CartwheelError]:
        asked = {
            host: steps.migrate(plan, plan.migration)
            for host, plan in some.items()
            if plan.migration
        }
        return failures(step_on_each(hooks.fleet, dict(list(asked.items())[:1])))

    waiting = {host: plan for host, plan in busy.items() if plan.migration}
    return hooks.around("migrate", waiting, migrate)


def _abandon(fleet: Fleet, busy: Plans, failed: Mapping[str, CartwheelError]) -> None:
    """Of a failed release only its journal entry and its log stay; a release that was only
    interrupted stays for the next deploy."""
    reason, is_bad = _reason(failed), _is_bad(failed)

    def abandon(host: str, _session: Session) -> None:
        log = failed[host].detail if host in failed else ""
        fleet.request(host, steps.abandon(busy[host], reason, log, is_bad=is_bad))

    fleet.each(abandon, [host for host in busy if not _is_lost(failed.get(host))])


def _reason(failed: Mapping[str, CartwheelError]) -> str:
    return next((f"{host} failed: {error.message}" for host, error in failed.items()), "")


def _is_bad(failed: Mapping[str, CartwheelError]) -> bool:
    """Whether the release itself is to blame for these failures, and not a lost connection."""
    return not all(is_open(error) and error.slug != "deadline" for error in failed.values())


def _is_lost(error: CartwheelError | None) -> bool:
    return error is not None and error.slug == "ssh-lost"


def _switch_all(hooks: Hooks, plans: Plans, busy: Plans) -> Report:
    """Switch batch by batch, each watched before the next; then all or nothing."""
    fleet = hooks.fleet
    tried, unready = _try_all(hooks, busy)
    _abandon(fleet, only(busy, unready), unready)
    busy = without(busy, unready)
    fleet.drop({**unready, **failures(tried)})
    if not fleet.can_go_on:
        return _put_back(hooks, plans, busy, tried)
    return _confirm_all(hooks, plans, busy, tried)


def _try_all(
    hooks: Hooks, busy: Plans
) -> tuple[dict[str, Result[Switched]], dict[str, CartwheelError]]:
    """Switch batch by batch, as long as the fleet can go on. Returns the results of the hosts that
    were tried, and the failures of those that were not ready."""
    fleet, rollout = hooks.fleet, hooks.terms.rollout
    tried: dict[str, Result[Switched]] = {}
    unready = hooks.at("before", "switch", busy, each=False)
    order = batches(list(without(busy, unready)), rollout)
    for number, batch in enumerate(order, 1):
        later = len(order) - number
        unready |= hooks.at("before", "switch", only(busy, batch), each=True)
        fleet.drop(unready)
        if not fleet.can_go_on:
            return tried, unready
        tried |= _switch_batch(hooks, without(only(busy, batch), unready), later)
        fleet.drop(failures(tried))
        if later and rollout.pause_seconds and fleet.can_go_on:
            tried |= _pause(fleet, only(busy, successes(tried)), rollout.pause_seconds)
            fleet.drop(failures(tried))
        if not fleet.can_go_on:
            return tried, unready
    tried |= hooks.at("after", "switch", only(busy, successes(tried)), each=False)
    tried |= hooks.at("before", "confirm", only(busy, successes(tried)))
    return tried, unready


def _switch_batch(hooks: Hooks, plans: Plans, later: int) -> dict[str, Result[Switched]]:
    """Switch these hosts in parallel, with `later` batches after them."""
    fleet, terms = hooks.fleet, hooks.terms

    def waiting(plan: HostPlan) -> HostPlan:
        around = pending_seconds(plan.hooks, each=True)
        if terms.balancer is not None:
            around += around_seconds(terms.balancer, plan)
        closing = pending_seconds(plan.hooks, each=False)
        return patient(plan, later, terms.rollout, around, closing)

    plans = {host: waiting(plan) for host, plan in plans.items()}
    if terms.balancer is None:
        asked = {host: steps.switch(plan) for host, plan in plans.items()}
        switched = step_on_each(fleet, asked)
    else:
        switched = Behind(fleet, terms.balancer).switch(plans)
    unwell = hooks.at("after", "switch", only(plans, successes(switched)), each=True)
    return {**switched, **unwell}


def _pause(fleet: Fleet, switched: Plans, seconds: float) -> dict[str, CartwheelError]:
    """Every switched host watches itself in its traffic before the next batch; one that does not
    stay healthy has gone back."""
    asked = {host: steps.watch(seconds) for host in switched}
    watched = step_on_each(fleet, asked)
    return failures(watched)


def _confirm_all(
    hooks: Hooks, plans: Plans, busy: Plans, tried: Mapping[str, Result[Switched]]
) -> Report:
    """Confirm all hosts that have switched and are still healthy: the point of no return."""
    fleet = hooks.fleet
    asked = {host: steps.confirm(switched.id) for host, switched in successes(tried).items()}
    confirmed = fleet.each(lambda host, _session: _confirm(fleet, host, asked[host]), asked)
    if asked and not successes(confirmed):
        return _put_back(hooks, plans, busy, {**tried, **failures(confirmed)})
    # Hosts that could not confirm but can be reached go back now, before the report.
    failed = failures({**tried, **confirmed})
    behind = _undo(hooks, failed, _reason(failed), is_bad=False)
    finished, unfinished = _finish(hooks, only(busy, successes(confirmed)))
    idle = [host for host in fleet.standing if plans[host].unchanged]
    # Users and HTTPS are the host's, not the release's: they change once no host goes back.
    unfinished |= _change_users(fleet, without(only(plans, [*finished, *idle]), unfinished))
    ready = without(only(plans, [*finished, *idle]), unfinished)
    unfinished |= failures(change_tls(fleet, {host: plan.tls for host, plan in ready.items()}))
    if not failed and not fleet.fallen:
        unfinished |= move_all(fleet, moves_of(plans))

    def row(host: str, plan: HostPlan) -> HostReport:
        if host in fleet.fallen:
            return fallen(fleet, host, plan, behind)
        found = after_confirming(
            host, plan, confirmed.get(host), unfinished.get(host), behind.get(host)
        )
        if host not in finished:
            return found
        end = finished[host]
        return replace(found, draining=end.draining, connections=end.connections)

    return report_of(fleet, plans, row)


def _finish(
    hooks: Hooks, confirmed: Plans
) -> tuple[dict[str, Finished], dict[str, CartwheelError]]:
    """Drain, stop, prune, on every host, even if a hook fails: no host can go back any more."""
    seconds = hooks.terms.finish_seconds
    asked = {host: steps.finish(seconds) for host in confirmed}
    unwell = hooks.at("after", "confirm", confirmed)
    unwell |= hooks.at("before", "finish", without(confirmed, unwell))
    finished = step_on_each(hooks.fleet, asked)
    unwell |= failures(finished)
    unwell |= hooks.at("after", "finish", without(confirmed, unwell))
    return successes(finished), unwell


def _change_users(fleet: Fleet, plans: Plans) -> dict[str, CartwheelError]:
    asked = {host: step for host, plan in plans.items() if (step := steps.users(plan))}
    return failures(step_on_each(fleet, asked))


def _confirm(fleet: Fleet, host: str, step: Step[Done]) -> Done:
    """Confirm one host. Only a failure is reported: then it may take a while until the host has
    recovered and its live release is known."""
    try:
        return fleet.request(host, step)
    except CartwheelError as error:
        fleet.emit(Event("confirm", "failed", error.message, host))
        raise


def _put_back(
    hooks: Hooks, plans: Plans, busy: Plans, tried: Mapping[str, Result[Switched]]
) -> Report:
    """Too many hosts failed before any confirmation: every host that switched goes back. `tried`
    are the results of switching or confirming."""
    fleet = hooks.fleet
    problems = failures(tried)
    causes = {**problems, **fleet.fallen}
    _abandon(fleet, without(busy, tried), causes)
    undone = _undo(hooks, tried, _reason(causes), is_bad=_is_bad(causes))

    def row(host: str, plan: HostPlan) -> HostReport:
        if host in tried:
            return after_going_back(host, plan, problems.get(host), undone.get(host))
        return row_of(fleet, host, plan, "not-tried")

    return report_of(fleet, plans, row)


def _undo(
    hooks: Hooks, tried: Mapping[str, Result[Switched]], reason: str, *, is_bad: bool
) -> dict[str, Result[WentBack]]:
    """Ask the reachable hosts of `tried` to go back; their answers. A release that is not bad stays
    there for the next deploy."""
    fleet, seconds = hooks.fleet, hooks.terms.finish_seconds
    asked = steps.go_back(reason, seconds, is_bad=is_bad)
    known = [host for host, result in tried.items() if not is_open(result)]
    return fleet.each(lambda host, _session: fleet.request(host, asked), known)
