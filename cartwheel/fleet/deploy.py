"""The life of a deploy over all hosts: prepare everywhere, then switch, confirm, finish.

Failures before the first confirmation put every host back, unless so many are allowed to
fall out. From the first confirmation on the fleet goes forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cartwheel.errors import CartwheelError, ConnectError, HostError
from cartwheel.fleet import identity
from cartwheel.fleet.behind import Behind, around_seconds
from cartwheel.fleet.model import UNKNOWN, HostReport, Outcome, Report
from cartwheel.fleet.sessions import Fleet, Result, failures, step_on_each, successes
from cartwheel.fleet.truth import LookAgain, looked_after
from cartwheel.plan.model import HostPlan, Operator, Step
from cartwheel.plan.rollout import ALL_OR_NOTHING, Rollout, batches, patient

if TYPE_CHECKING:
    from cartwheel.balance.model import Balancer
    from cartwheel.ssh.session import Session

Plans = Mapping[str, HostPlan]

_SMALL_SECONDS = 60.0


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
        return _untouched(fleet, plans, "not-tried")
    locked = lock_all(fleet, fleet.standing, terms)
    if not fleet.bears(failures(locked)):
        return _untouched(fleet, plans, "not-tried")
    if replan is not None and _are_stale(plans, successes(locked)):
        plans = {**plans, **replan()}
    if not fleet.bears(_refusals(plans)):
        return _untouched(fleet, plans, "not-tried")
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
        return _untouched(fleet, plans, "not-tried")
    prepared = failures(fleet.each(lambda host, one: _prepare(fleet, host, one, plans[host]), busy))
    if not fleet.bears(prepared):
        if switch:
            _abandon(fleet, busy, prepared, _reason(prepared), terms)
        return _untouched(fleet, plans, "not-tried")
    if not switch:
        return _untouched(fleet, plans, "prepared")
    _abandon(fleet, _only(busy, prepared), prepared, _reason(prepared), terms)
    busy = _without(busy, prepared)
    unmigrated = _migrate(fleet, busy)
    if unmigrated:
        _abandon(fleet, busy, unmigrated, _reason(unmigrated), terms)
        fleet.fallen |= unmigrated
        return _untouched(fleet, plans, "not-tried")
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


def lock_all(fleet: Fleet, hosts: Iterable[str], terms: Terms) -> dict[str, Result[dict[str, Any]]]:
    """Lock these hosts: side by side, without waiting; where somebody is in the way all locks
    are given back, and taken one after the other in sorted order. So no two fleets ever wait
    for each other, and without a rival the locks of many hosts take no longer than one.

    The hosts' answers; in sorted order the first failure that the fleet does not bear is the
    last answer.
    """
    names = sorted(hosts)
    if len(names) > 1:
        quick = replace(terms, lock_wait_seconds=0.0)
        answers = fleet.each(lambda host, _one: lock(fleet, host, quick), names)
        refused = failures(answers)
        if not refused or any(error.slug != "locked" for error in refused.values()):
            return answers
        twins = identity.ask(fleet)
        if twins:
            # The name that was refused is the twin of one that was not: say it of one only.
            return {**successes(answers), **twins}
        fleet.each(lambda _host, one: one.request("unlock", terms.args), successes(answers))
    return _lock_in_order(fleet, names, terms)


def _lock_in_order(
    fleet: Fleet, names: list[str], terms: Terms
) -> dict[str, Result[dict[str, Any]]]:
    answers: dict[str, Result[dict[str, Any]]] = {}
    for host in names:
        try:
            answers[host] = lock(fleet, host, terms)
        except CartwheelError as error:
            answers[host] = error
            if len(fleet.fallen | failures(answers)) > fleet.max_failures:
                break
    return answers


def lock(fleet: Fleet, host: str, terms: Terms) -> dict[str, Any]:
    return fleet.sessions[host].request(
        "lock",
        {
            **terms.args,
            "wait_seconds": terms.lock_wait_seconds,
            "about_freeze": terms.about_freeze,
        },
        # Taking the lock also settles what an earlier session left.
        deadline_seconds=terms.lock_wait_seconds + terms.finish_seconds,
        on_event=fleet.listener(host),
    )


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
    confirmed = fleet.each(
        lambda host, one: one.request("confirm", {**terms.args, "id": ids[host]}), ids
    )
    if ids and not successes(confirmed):
        return _put_back(fleet, plans, busy, {**tried, **confirmed}, terms)
    behind = _undo(fleet, failures(tried), _reason(failures(tried)), terms)
    finish = Step("finish", "drain and prune", terms.finish_seconds, terms.args)
    finished = step_on_each(fleet, dict.fromkeys(successes(confirmed), finish), "finish")

    def row(host: str, plan: HostPlan) -> HostReport:
        if host in fleet.fallen:
            return _fallen(fleet, host, plan, behind)
        return _after_confirming(host, plan, confirmed.get(host), finished.get(host))

    return _of(fleet, plans, row)


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
            return _after_going_back(host, plan, problems.get(host), undone.get(host))
        return _row(fleet, host, plan, "not-tried")

    return _of(fleet, plans, row)


def _undo(
    fleet: Fleet, tried: Mapping[str, Result[Any]], reason: str, terms: Terms
) -> dict[str, Result[dict[str, Any]]]:
    """Ask the hosts of `tried` to go back, as far as they can be asked; what each says."""
    return fleet.each(
        lambda _host, one: one.request(
            "go-back", {**terms.args, "reason": reason}, deadline_seconds=terms.finish_seconds
        ),
        [host for host, one in tried.items() if not _is_open(one)],
    )


def _is_open(result: object) -> bool:
    """No word of the host itself says how it ended."""
    return isinstance(result, ConnectError)


def _after_going_back(
    host: str,
    plan: HostPlan,
    error: CartwheelError | None,
    undone: Result[dict[str, Any]] | None,
) -> HostReport:
    """Going back may be asked for twice: a host that is back already, or never left, says what
    it serves."""
    if undone is None or isinstance(undone, CartwheelError):
        why = error if undone is None else undone
        return HostReport(host, "attention", UNKNOWN, plan.current, why, plan.notes)
    outcome: Outcome = "reverted" if undone["reverted"] else "failed"
    if undone["serves"] != plan.current:
        outcome = "attention"
    return HostReport(host, outcome, undone["serves"], plan.current, error, plan.notes)


def _fallen(
    fleet: Fleet, host: str, plan: HostPlan, undone: Mapping[str, Result[dict[str, Any]]]
) -> HostReport:
    """One that fell out, while the others went on."""
    error = fleet.fallen[host]
    if host in undone or _is_open(error):
        return _after_going_back(host, plan, error, undone.get(host))
    return _row(fleet, host, plan, "failed")


def _after_confirming(
    host: str,
    plan: HostPlan,
    confirmed: Result[dict[str, Any]] | None,
    finished: Result[dict[str, Any]] | None,
) -> HostReport:
    """The fleet goes forward: a host that did not confirm is behind, and needs another deploy."""
    if isinstance(confirmed, CartwheelError):
        serves = plan.current if confirmed.slug == "reverted" else UNKNOWN
        return HostReport(host, "attention", serves, plan.current, confirmed, plan.notes)
    if isinstance(finished, CartwheelError):
        return HostReport(host, "attention", plan.release, plan.current, finished, plan.notes)
    outcome: Outcome = "unchanged" if plan.unchanged else "deployed"
    return HostReport(host, outcome, plan.release, plan.current, None, plan.notes)


def _in_sight(one: HostReport) -> HostReport:
    """A host that gets no requests needs a person, whatever it serves."""
    is_out = one.error is not None and one.error.slug == "balancer-stuck"
    return replace(one, outcome="attention") if is_out else one


def _untouched(fleet: Fleet, plans: Plans, otherwise: Outcome) -> Report:
    """Before any host switched."""
    return _of(fleet, plans, lambda host, plan: _row(fleet, host, plan, otherwise))


def _row(fleet: Fleet, host: str, plan: HostPlan, otherwise: Outcome) -> HostReport:
    """A host that did not switch."""
    error = fleet.fallen.get(host)
    outcome: Outcome = "failed" if error else "unchanged" if plan.unchanged else otherwise
    known = error is None or not (_is_open(error) or error.slug == "facts-changed")
    serves = plan.current if known else UNKNOWN
    return HostReport(host, outcome, serves, plan.current, error, plan.notes)


def _of(fleet: Fleet, plans: Plans, row: Callable[[str, HostPlan], HostReport]) -> Report:
    """Every host of the run: those that have a plan, and those that could not even be asked."""
    # A host that refused may have no plan of a release.
    some = next((plan for plan in plans.values() if plan.release), next(iter(plans.values())))
    rows = {host: _in_sight(row(host, plan)) for host, plan in plans.items()}
    for host, error in fleet.fallen.items():
        rows.setdefault(host, HostReport(host, "failed", UNKNOWN, UNKNOWN, error))
    return Report(some.release, some.version, tuple(rows.values()))
