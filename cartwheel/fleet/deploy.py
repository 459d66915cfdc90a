"""The life of a deploy over all hosts: prepare everywhere, then switch, confirm, finish.

One failure before the first confirmation puts every switched host back. From the first
confirmation on the fleet goes forward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cartwheel.errors import CartwheelError, ConnectError, HostError
from cartwheel.fleet.model import UNKNOWN, HostReport, Outcome, Report
from cartwheel.fleet.sessions import Fleet, Result, failures, successes
from cartwheel.fleet.truth import LookAgain, looked_after
from cartwheel.plan.model import HostPlan, Operator, Step

if TYPE_CHECKING:
    from cartwheel.ssh.session import Session

_SMALL_SECONDS = 60.0


@dataclass(frozen=True)
class Terms:
    """What all hosts of a run share: the application, who asks, how long to wait."""

    app: str
    base: str
    operator: Operator
    lock_wait_seconds: float
    finish_seconds: float
    about_freeze: bool = False  # the freeze itself is the matter: it does not refuse

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
    plans: Mapping[str, HostPlan],
    terms: Terms,
    *,
    switch: bool = True,
    replan: Callable[[], Mapping[str, HostPlan]] | None = None,
    look_again: LookAgain | None = None,
) -> Report:
    """Bring every host to its plan's release, or leave every host as it was.

    Without `switch` it ends when everything is prepared; what is there stays for later.
    `replan` makes the plans anew where somebody changed a host between the look and the
    lock; `look_again` asks hosts that were lost on the way what they serve.
    """
    refused = _refusals(plans)
    if refused:
        return _report(plans, refused, otherwise="not-tried")
    locked = lock_all(fleet, sorted(plans), terms)
    if failures(locked):
        return _report(plans, failures(locked), otherwise="not-tried")
    if replan is not None and _are_stale(plans, successes(locked)):
        plans = replan()
        refused = _refusals(plans)
    if refused:
        return _report(plans, refused, otherwise="not-tried")
    report = _carry_out(fleet, plans, terms, switch=switch)
    return report if look_again is None else looked_after(report, plans, look_again)


def _are_stale(plans: Mapping[str, HostPlan], locked: Mapping[str, Mapping[str, Any]]) -> bool:
    return any(answer["premise"] != plans[host].premise for host, answer in locked.items())


def _carry_out(
    fleet: Fleet, plans: Mapping[str, HostPlan], terms: Terms, *, switch: bool
) -> Report:
    """All hosts are locked, and as they were when the plans were made."""
    idle = {host for host, plan in plans.items() if plan.unchanged}
    busy = {host: plan for host, plan in plans.items() if host not in idle}
    noting = idle if switch else ()
    noted = failures(
        fleet.each(lambda host, one: _note(fleet, host, one, plans[host], terms), noting)
    )
    if noted:
        return _report(plans, noted, otherwise="not-tried")
    prepared = failures(fleet.each(lambda host, one: _prepare(fleet, host, one, plans[host]), busy))
    if prepared and switch:
        _abandon(fleet, busy, prepared, _reason(prepared), terms)
    if prepared:
        return _report(plans, prepared, otherwise="not-tried")
    if not switch:
        return _report(plans, {}, otherwise="prepared")
    return _switch_all(fleet, plans, busy, terms)


def _refusals(plans: Mapping[str, HostPlan]) -> dict[str, CartwheelError]:
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


def lock_all(fleet: Fleet, hosts: list[str], terms: Terms) -> dict[str, Result[dict[str, Any]]]:
    """Lock in sorted order, one after the other: two fleets never wait for each other.

    The hosts' answers; the first failure is the last answer.
    """
    answers: dict[str, Result[dict[str, Any]]] = {}
    for host in hosts:
        try:
            answers[host] = lock(fleet, host, terms)
        except CartwheelError as error:
            answers[host] = error
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


def _abandon(
    fleet: Fleet,
    busy: Mapping[str, HostPlan],
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
    host, error = next(iter(failed.items()))
    return f"{host} failed: {error.message}"


def _is_lost(error: CartwheelError | None) -> bool:
    return error is not None and error.slug == "ssh-lost"


def _switch_all(
    fleet: Fleet, plans: Mapping[str, HostPlan], busy: Mapping[str, HostPlan], terms: Terms
) -> Report:
    """The first host alone, then the others side by side; then all or nothing."""
    switched: dict[str, Result[dict[str, Any]]] = {}
    for batch in _batches(list(busy)):
        switched |= fleet.each(lambda host, one: _switch(fleet, host, one, busy[host]), batch)
        if failures(switched):
            return _put_back(fleet, plans, busy, switched, terms)
    ids = {host: str(answer["id"]) for host, answer in successes(switched).items()}
    confirmed = fleet.each(
        lambda host, one: one.request("confirm", {**terms.args, "id": ids[host]}), ids
    )
    if ids and not successes(confirmed):
        return _put_back(fleet, plans, busy, confirmed, terms)
    finished = fleet.each(lambda host, one: _finish(fleet, host, one, terms), successes(confirmed))
    return _of(
        plans,
        [
            _after_confirming(host, plan, confirmed.get(host), finished.get(host))
            for host, plan in plans.items()
        ],
    )


def _batches(hosts: list[str]) -> list[list[str]]:
    return [batch for batch in (hosts[:1], hosts[1:]) if batch]


def _switch(fleet: Fleet, host: str, session: Session, plan: HostPlan) -> dict[str, Any]:
    return fleet.run_steps(host, session, [plan.switch], group="switch")[0]


def _finish(fleet: Fleet, host: str, session: Session, terms: Terms) -> None:
    step = Step("finish", "drain and prune", terms.finish_seconds, terms.args)
    fleet.run_steps(host, session, [step], group="finish")


def _put_back(
    fleet: Fleet,
    plans: Mapping[str, HostPlan],
    busy: Mapping[str, HostPlan],
    tried: Mapping[str, Result[dict[str, Any]]],
    terms: Terms,
) -> Report:
    """One failed before any confirmation: every host that switched goes back. `tried` is what
    switching, or confirming, came to."""
    problems = failures(tried)
    reason = _reason(problems)
    untouched = {host: plan for host, plan in busy.items() if host not in tried}
    _abandon(fleet, untouched, {}, reason, terms)
    undone = fleet.each(
        lambda _host, one: one.request(
            "go-back", {**terms.args, "reason": reason}, deadline_seconds=terms.finish_seconds
        ),
        [host for host in tried if not _is_open(problems.get(host))],
    )
    return _of(
        plans,
        [
            _after_going_back(host, plan, problems.get(host), undone.get(host))
            for host, plan in plans.items()
        ],
    )


def _is_open(error: CartwheelError | None) -> bool:
    """No word of the host itself says how it ended."""
    return isinstance(error, ConnectError)


def _after_going_back(
    host: str,
    plan: HostPlan,
    error: CartwheelError | None,
    undone: Result[dict[str, Any]] | None,
) -> HostReport:
    """Going back may be asked for twice: a host that is back already, or never left, says what
    it serves."""
    if _is_open(error):
        return HostReport(host, "attention", UNKNOWN, plan.current, error, plan.notes)
    if isinstance(undone, CartwheelError):
        return HostReport(host, "attention", UNKNOWN, plan.current, undone, plan.notes)
    if undone is None:
        outcome: Outcome = "unchanged" if plan.unchanged else "not-tried"
        return HostReport(host, outcome, plan.current, plan.current, None, plan.notes)
    outcome = "reverted" if undone["reverted"] else "failed"
    if undone["serves"] != plan.current:
        outcome = "attention"
    return HostReport(host, outcome, undone["serves"], plan.current, error, plan.notes)


def _after_confirming(
    host: str,
    plan: HostPlan,
    confirmed: Result[dict[str, Any]] | None,
    finished: Result[None] | None,
) -> HostReport:
    """The fleet goes forward: a host that did not confirm is behind, and needs another deploy."""
    if isinstance(confirmed, CartwheelError):
        serves = plan.current if confirmed.slug == "reverted" else UNKNOWN
        return HostReport(host, "attention", serves, plan.current, confirmed, plan.notes)
    if isinstance(finished, CartwheelError):
        return HostReport(host, "attention", plan.release, plan.current, finished, plan.notes)
    outcome: Outcome = "unchanged" if plan.unchanged else "deployed"
    return HostReport(host, outcome, plan.release, plan.current, None, plan.notes)


def _report(
    plans: Mapping[str, HostPlan],
    problems: Mapping[str, CartwheelError],
    *,
    otherwise: Outcome,
) -> Report:
    """Before any host switched."""
    reports = []
    for host, plan in plans.items():
        error = problems.get(host)
        outcome: Outcome = "failed" if error else "unchanged" if plan.unchanged else otherwise
        known = error is None or not (_is_open(error) or error.slug == "facts-changed")
        serves = plan.current if known else UNKNOWN
        reports.append(HostReport(host, outcome, serves, plan.current, error, plan.notes))
    return _of(plans, reports)


def _of(plans: Mapping[str, HostPlan], reports: list[HostReport]) -> Report:
    """A host that refused may have no plan of a release."""
    some = next((plan for plan in plans.values() if plan.release), next(iter(plans.values())))
    return Report(some.release, some.version, tuple(reports))
