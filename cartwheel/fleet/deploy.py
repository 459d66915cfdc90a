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
from cartwheel.fleet.hooks import Hooks, only, without
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
from cartwheel.plan.hooks import pending_seconds
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
    hooks = Hooks(fleet, terms)
    unprepared = hooks.around("prepare", busy, lambda some: _prepare(fleet, some))
    if not fleet.bears(unprepared):
        if switch:
            _abandon(fleet, busy, unprepared, _reason(unprepared), terms)
        return untouched(fleet, plans, "not-tried")
    if not switch:
        return untouched(fleet, plans, "prepared")
    _abandon(fleet, only(busy, unprepared), unprepared, _reason(unprepared), terms)
    busy = without(busy, unprepared)
    unmigrated = _migrate(hooks, busy)
    if unmigrated:
        _abandon(fleet, busy, unmigrated, _reason(unmigrated), terms)
        fleet.fallen |= unmigrated
        return untouched(fleet, plans, "not-tried")
    return _switch_all(hooks, plans, busy)


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


def _prepare(fleet: Fleet, busy: Plans) -> dict[str, CartwheelError]:
    def prepare(host: str, session: Session) -> None:
        fleet.run_steps(host, session, busy[host].prepare, group="prepare")

    return failures(fleet.each(prepare, busy))


def _migrate(hooks: Hooks, busy: Plans) -> dict[str, CartwheelError]:
    """Once, on the first host that has something to migrate to; a failure, by its host."""

    def migrate(some: Plans) -> dict[str, CartwheelError]:
        steps = {host: plan.migrate for host, plan in some.items() if plan.migrate is not None}
        return failures(step_on_each(hooks.fleet, dict(list(steps.items())[:1]), "migrate"))

    waiting = {host: plan for host, plan in busy.items() if plan.migrate is not None}
    return hooks.around("migrate", waiting, migrate)


def _abandon(
    fleet: Fleet,
    busy: Plans,
    failed: Mapping[str, CartwheelError],
    reason: str,
    terms: Terms,
) -> None:
    """Nothing of a release that failed stays but its line in the journal and its log; what was
    only cut off stays for the next deploy."""
    is_bad = _is_bad(failed)

    def abandon(host: str, session: Session) -> None:
        plan = busy[host]
        fresh = plan.fresh and is_bad
        args = {"release": plan.release, "version": plan.version, "fresh": fresh}
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


def _is_bad(failed: Mapping[str, CartwheelError]) -> bool:
    """Whether these failures say anything against the release: that a host cannot be reached any
    more does not."""
    return not all(is_open(error) and error.slug != "deadline" for error in failed.values())


def _is_lost(error: CartwheelError | None) -> bool:
    return error is not None and error.slug == "ssh-lost"


def _switch_all(hooks: Hooks, plans: Plans, busy: Plans) -> Report:
    """Batch by batch, each watched before the next; then all or nothing."""
    fleet, terms = hooks.fleet, hooks.terms
    tried, unready = _try_all(hooks, busy)
    _abandon(fleet, only(busy, unready), unready, _reason(unready), terms)
    busy = without(busy, unready)
    if not fleet.bears({}):
        return _put_back(fleet, plans, busy, tried, terms)
    return _confirm_all(hooks, plans, busy, tried)


def _try_all(
    hooks: Hooks, busy: Plans
) -> tuple[dict[str, Result[dict[str, Any]]], dict[str, CartwheelError]]:
    """What switching came to where it was tried, and who was not ready for it; no further than
    the fleet bears."""
    fleet, rollout = hooks.fleet, hooks.terms.rollout
    tried: dict[str, Result[dict[str, Any]]] = {}
    unready = hooks.at("before", "switch", busy, each=False)
    order = batches(list(without(busy, unready)), rollout)
    for number, batch in enumerate(order, 1):
        later = len(order) - number
        unready |= hooks.at("before", "switch", only(busy, batch), each=True)
        if not fleet.bears(unready):
            return tried, unready
        tried |= _switch_batch(hooks, without(only(busy, batch), unready), later)
        if later and rollout.pause_seconds and fleet.bears(failures(tried)):
            tried |= _pause(fleet, successes(tried), hooks.terms)
        if not fleet.bears(failures(tried)):
            return tried, unready
    tried |= hooks.at("after", "switch", only(busy, successes(tried)), each=False)
    tried |= hooks.at("before", "confirm", only(busy, successes(tried)))
    fleet.bears({**unready, **failures(tried)})
    return tried, unready


def _switch_batch(hooks: Hooks, plans: Plans, later: int) -> dict[str, Result[dict[str, Any]]]:
    """These hosts side by side, with `later` batches after them."""
    fleet, terms = hooks.fleet, hooks.terms

    def step(plan: HostPlan) -> Step:
        around = pending_seconds(plan.hooks, each=True)
        if terms.balancer is not None:
            around += around_seconds(terms.balancer, plan.switch)
        closing = pending_seconds(plan.hooks, each=False)
        return patient(plan.switch, later, terms.rollout, around, closing)

    steps = {host: step(plan) for host, plan in plans.items()}
    if terms.balancer is None:
        switched = step_on_each(fleet, steps, "switch")
    else:
        switched = Behind(fleet, terms.balancer).switch(steps)
    unwell = hooks.at("after", "switch", only(plans, successes(switched)), each=True)
    return {**switched, **unwell}


def _pause(fleet: Fleet, switched: Iterable[str], terms: Terms) -> dict[str, CartwheelError]:
    """Every switched host watches itself in its traffic before the next batch; who does not
    stay well has gone back."""
    seconds = terms.rollout.pause_seconds
    step = Step("watch", "watch", seconds + _SMALL_SECONDS, {**terms.args, "seconds": seconds})
    return failures(step_on_each(fleet, dict.fromkeys(switched, step), "watch"))


def _confirm_all(
    hooks: Hooks, plans: Plans, busy: Plans, tried: Mapping[str, Result[dict[str, Any]]]
) -> Report:
    """The point of no return, for all that have switched and are still well."""
    fleet, terms = hooks.fleet, hooks.terms
    ids = {host: str(answer["id"]) for host, answer in successes(tried).items()}
    confirmed = fleet.each(lambda host, one: _confirm(fleet, host, one, ids[host], terms), ids)
    if ids and not successes(confirmed):
        return _put_back(fleet, plans, busy, {**tried, **confirmed}, terms)
    # Who could not confirm, and can be asked, goes back now: before the report, not after it.
    failed = failures({**tried, **confirmed})
    behind = _undo(fleet, failed, _reason(failed), terms, is_bad=False)
    unfinished = _finish(hooks, only(busy, successes(confirmed)))

    def row(host: str, plan: HostPlan) -> HostReport:
        if host in fleet.fallen:
            return fallen(fleet, host, plan, behind)
        return after_confirming(
            host, plan, confirmed.get(host), unfinished.get(host), behind.get(host)
        )

    return report_of(fleet, plans, row)


def _finish(hooks: Hooks, confirmed: Plans) -> dict[str, CartwheelError]:
    """Drain, stop, prune: on every host, also where a hook fails, as nothing goes back any
    more."""
    terms = hooks.terms
    step = Step("finish", "drain and prune", terms.finish_seconds, terms.args)
    unwell = hooks.at("after", "confirm", confirmed)
    unwell |= hooks.at("before", "finish", without(confirmed, unwell))
    unwell |= failures(step_on_each(hooks.fleet, dict.fromkeys(confirmed, step), "finish"))
    return unwell | hooks.at("after", "finish", without(confirmed, unwell))


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
    causes = {**problems, **fleet.fallen}
    reason = _reason(causes)
    _abandon(fleet, without(busy, tried), causes, reason, terms)
    undone = _undo(fleet, tried, reason, terms, is_bad=_is_bad(causes))

    def row(host: str, plan: HostPlan) -> HostReport:
        if host in tried:
            return after_going_back(host, plan, problems.get(host), undone.get(host))
        return row_of(fleet, host, plan, "not-tried")

    return report_of(fleet, plans, row)


def _undo(
    fleet: Fleet, tried: Mapping[str, Result[Any]], reason: str, terms: Terms, *, is_bad: bool
) -> dict[str, Result[dict[str, Any]]]:
    """Ask the hosts of `tried` to go back, as far as they can be asked; what each says. A release
    that is not bad stays there for the next deploy."""
    args = {**terms.args, "reason": reason, "is_bad": is_bad}
    return fleet.each(
        lambda _host, one: one.request("go-back", args, deadline_seconds=terms.finish_seconds),
        [host for host, one in tried.items() if not is_open(one)],
    )
