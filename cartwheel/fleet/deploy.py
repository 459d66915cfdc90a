"""The life of a deploy over all hosts: prepare everywhere, then switch, confirm, finish.

Failures before the first confirmation put every host back, unless so many are allowed to
fall out. From the first confirmation on the fleet goes forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cartwheel.errors import CartwheelError, HostError
from cartwheel.events import Event
from cartwheel.fleet.behind import Behind, around_seconds
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.model import HostReport, Report
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
from cartwheel.fleet.sessions import Fleet, Result, failures, step_on_each, successes
from cartwheel.fleet.terms import Terms
from cartwheel.fleet.truth import LookAgain, looked_after
from cartwheel.plan.model import HostPlan, Step
from cartwheel.plan.rollout import batches, patient

if TYPE_CHECKING:
    from cartwheel.ssh.session import Session

_SMALL_SECONDS = 60.0


def run_plans(
    fleet: Fleet,
    plans: Plans,
    terms: Terms,
    *,
    switch: bool = True,
    replan: Callable[[], Plans] | None = None,
    look_again: LookAgain | None = None,
) -> Report:
    """Bring every host to its plan's release, or leave every host as it was.

    Without `switch` it ends when everything is prepared; what is there stays for later.
    `replan` makes the plans anew where somebody changed a host between the look and the
    lock; `look_again` asks hosts that were lost on the way what they serve.
    """
    if not fleet.bears(_refusals(plans)):
        return untouched(fleet, plans, "not-tried")
    locked = lock_all(fleet, fleet.standing, terms)
    if not fleet.bears(failures(locked)):
        return untouched(fleet, plans, "not-tried")
    if replan is not None and _are_stale(plans, successes(locked)):
        plans = {**plans, **replan()}
    if not fleet.bears(_refusals(plans)):
        return untouched(fleet, plans, "not-tried")
    report = _carry_out(fleet, plans, terms, switch=switch)
    return report if look_again is None else looked_after(report, plans, look_again)


def _are_stale(plans: Plans, locked: Mapping[str, Mapping[str, Any]]) -> bool:
    return any(answer["premise"] != plans[host].premise for host, answer in locked.items())


def _carry_out(fleet: Fleet, plans: Plans, terms: Terms, *, switch: bool) -> Report:
    """All hosts are locked, and as they were when the plans were made."""
    idle = [host for host in fleet.standing if plans[host].unchanged]
    busy = {host: plans[host] for host in fleet.standing if host not in idle}
    if switch and terms.balancer is not None:
        terms.balancer.refuse(batches(list(busy), terms.rollout))
    noting = idle if switch else ()
    noted = fleet.each(lambda host, one: _note(fleet, host, one, plans[host], terms), noting)
    if not fleet.bears(failures(noted)):
        return untouched(fleet, plans, "not-tried")
    prepared = failures(fleet.each(lambda host, one: _prepare(fleet, host, one, plans[host]), busy))
    if not fleet.bears(prepared):
        if switch:
            _abandon(fleet, busy, prepared, _reason(prepared), terms)
        return untouched(fleet, plans, "not-tried")
    if not switch:
        return untouched(fleet, plans, "prepared")
    _abandon(fleet, _only(busy, prepared), prepared, _reason(prepared), terms)
    busy = _without(busy, prepared)
    unmigrated = _migrate(fleet, busy)
    if unmigrated:
        _abandon(fleet, busy, unmigrated, _reason(unmigrated), terms)
        fleet.fallen |= unmigrated
        return untouched(fleet, plans, "not-tried")
    return _switch_all(fleet, plans, busy, terms)


def _only(plans: Plans, hosts: Iterable[str]) -> dict[str, HostPlan]:
    return {host: plans[host] for host in hosts if host in plans}


def _without(plans: Plans, hosts: Iterable[str]) -> dict[str, HostPlan]:
    gone = set(hosts)
    return {host: plan for host, plan in plans.items() if host not in gone}


def _refusals(plans: Plans) -> dict[str, CartwheelError]:
    """A host that cannot take the release refuses for all, with every reason."""
    return {
        host: HostError(
            plan.refusals[0].slug,
            "; ".join(refusal.message for refusal in plan.refusals),
            host=host,
        )
        for host, plan in plans.items()
        if plan.refusals
    }


def _note(fleet: Fleet, host: str, session: Session, plan: HostPlan, terms: Terms) -> None:
    session.request(
        "unchanged",
        {**terms.args, "release": plan.release, "version": plan.version},
        deadline_seconds=terms.finish_seconds,
        on_event=fleet.listener(host),
    )


def _prepare(fleet: Fleet, host: str, session: Session, plan: HostPlan) -> None:
    fleet.run_steps(host, session, plan.prepare, group="prepare")


def _migrate(fleet: Fleet, busy: Plans) -> dict[str, CartwheelError]:
    """Once, on the first host that has something to migrate to; a failure, by its host."""
    steps = {host: plan.migrate for host, plan in busy.items() if plan.migrate is not None}
    return failures(step_on_each(fleet, dict(list(steps.items())[:1]), "migrate"))


def _abandon(
    fleet: Fleet,
    busy: Plans,
    failed: Mapping[str, CartwheelError],
    reason: str,
    terms: Terms,
) -> None:
    """Nothing of the failed release stays but its line in the journal and its log."""

    def abandon(host: str, session: Session) -> None:
        plan = busy[host]
        args = {"release": plan.release, "version": plan.version, "fresh": plan.fresh}
        why = failed.get(host)
        said = {
            "kind": plan.switch.args["kind"],
            "reason": reason,
            "log": why.detail if why else "",
        }
        session.request("abandon", {**terms.args, **args, **said})

    fleet.each(abandon, [host for host in busy if not _is_lost(failed.get(host))])


def _reason(failed: Mapping[str, CartwheelError]) -> str:
    return next((f"{host} failed: {error.message}" for host, error in failed.items()), "")


def _is_lost(error: CartwheelError | None) -> bool:
    return error is not None and error.slug == "ssh-lost"


def _switch_all(fleet: Fleet, plans: Plans, busy: Plans, terms: Terms) -> Report:
    """Batch by batch, each watched before the next; then all or nothing."""
    tried: dict[str, Result[dict[str, Any]]] = {}
    order = batches(list(busy), terms.rollout)
    for number, batch in enumerate(order, 1):
        later = len(order) - number
        now = _switch_batch(fleet, _only(busy, batch), later, terms)
        tried |= now
        if not fleet.bears(failures(now)):
            return _put_back(fleet, plans, busy, tried, terms)
        if later and terms.rollout.pause_seconds:
            unwell = _pause(fleet, successes(tried), terms)
            tried |= unwell
            if not fleet.bears(unwell):
                return _put_back(fleet, plans, busy, tried, terms)
    return _confirm_all(fleet, plans, busy, tried, terms)


def _switch_batch(
    fleet: Fleet, plans: Plans, later: int, terms: Terms
) -> dict[str, Result[dict[str, Any]]]:
    """These hosts side by side, with `later` batches after them."""
    if terms.balancer is None:
        steps = {host: patient(one.switch, later, terms.rollout) for host, one in plans.items()}
        return step_on_each(fleet, steps, "switch")
    steps = {
        host: patient(one.switch, later, terms.rollout, around_seconds(terms.balancer, one.switch))
        for host, one in plans.items()
    }
    return Behind(fleet, terms.balancer).switch(steps)


def _pause(fleet: Fleet, switched: Iterable[str], terms: Terms) -> dict[str, CartwheelError]:
    """Every switched host watches itself in its traffic before the next batch; who does not
    stay well has gone back."""
    seconds = terms.rollout.pause_seconds
    step = Step("watch", "watch", seconds + _SMALL_SECONDS, {**terms.args, "seconds": seconds})
    return failures(step_on_each(fleet, dict.fromkeys(switched, step), "watch"))


def _confirm_all(
    fleet: Fleet,
    plans: Plans,
    busy: Plans,
    tried: Mapping[str, Result[dict[str, Any]]],
    terms: Terms,
) -> Report:
    """The point of no return, for all that have switched and are still well."""
    ids = {host: str(answer["id"]) for host, answer in successes(tried).items()}
    confirmed = fleet.each(lambda host, one: _confirm(fleet, host, one, ids[host], terms), ids)
    if ids and not successes(confirmed):
        return _put_back(fleet, plans, busy, {**tried, **confirmed}, terms)
    behind = _undo(fleet, failures(tried), _reason(failures(tried)), terms)
    finish = Step("finish", "drain and prune", terms.finish_seconds, terms.args)
    finished = step_on_each(fleet, dict.fromkeys(successes(confirmed), finish), "finish")

    def row(host: str, plan: HostPlan) -> HostReport:
        if host in fleet.fallen:
            return fallen(fleet, host, plan, behind)
        return after_confirming(host, plan, confirmed.get(host), finished.get(host))

    return report_of(fleet, plans, row)


def _confirm(fleet: Fleet, host: str, session: Session, id_: str, terms: Terms) -> dict[str, Any]:
    """Told only where it fails: then it may take a while until the host is in order, and until
    anybody knows which way it went."""
    try:
        return session.request("confirm", {**terms.args, "id": id_})
    except CartwheelError as error:
        fleet.emit(Event("confirm", "failed", error.message, host))
        raise


def _put_back(
    fleet: Fleet,
    plans: Plans,
    busy: Plans,
    tried: Mapping[str, Result[dict[str, Any]]],
    terms: Terms,
) -> Report:
    """Too many failed before any confirmation: every host that switched goes back. `tried` is
    what switching, or confirming, came to."""
    problems = failures(tried)
    reason = _reason(problems)
    _abandon(fleet, _without(busy, tried), {}, reason, terms)
    undone = _undo(fleet, tried, reason, terms)

    def row(host: str, plan: HostPlan) -> HostReport:
        if host in tried:
            return after_going_back(host, plan, problems.get(host), undone.get(host))
        return row_of(fleet, host, plan, "not-tried")

    return report_of(fleet, plans, row)


def _undo(
    fleet: Fleet, tried: Mapping[str, Result[Any]], reason: str, terms: Terms
) -> dict[str, Result[dict[str, Any]]]:
    """Ask the hosts of `tried` to go back, as far as they can be asked; what each says."""
    return fleet.each(
        lambda _host, one: one.request(
            "go-back", {**terms.args, "reason": reason}, deadline_seconds=terms.finish_seconds
        ),
        [host for host, one in tried.items() if not is_open(one)],
    )
