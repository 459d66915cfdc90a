"""Let another host have what only one of the fleet has, once all hosts have confirmed.

A host takes it when every other host of the run has answered that it does not run there any more.
Cut off in between, it runs nowhere, and the next run gives it to a host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cartwheel.errors import CartwheelError
from cartwheel.fleet.outcomes import is_open
from cartwheel.fleet.sessions import Fleet, Result, failures, step_on_each, successes
from cartwheel.host.wire.holding import Given, Record
from cartwheel.plan import steps
from cartwheel.plan.host_plan import Holder, HostPlan, Move


def moves_of(plans: Mapping[str, HostPlan]) -> tuple[Move, ...]:
    """All hosts of a run have the same."""
    return next((plan.moves for plan in plans.values()), ())


def move_all(fleet: Fleet, moves: Iterable[Move]) -> dict[str, CartwheelError]:
    """One after the other; the failures by host. After a failure the others wait for the next run:
    no host may be asked anything more that depends on an answer."""
    for move in moves:
        failed = _move(fleet, move)
        if failed:
            return failed
    return {}


def _move(fleet: Fleet, move: Move) -> dict[str, CartwheelError]:
    """Those that only write it down are asked first: if one does not answer, nothing has ended."""
    giver = {move.gives.host} if move.gives else set()
    records: list[Record] = []
    for some in (set(fleet.standing) - giver, giver):
        given = _let_go(fleet, move, some, move.takes)
        if failures(given):
            return failures(given)
        records = [one.record for one in successes(given).values()] or records
    record = Record.last(records) if move.is_known else Record()
    failed = _take(fleet, move, move.takes, record)
    if not failed or move.gives is None or any(map(is_open, failed.values())):
        return failed
    undone = _let_go(fleet, move, {move.takes.host}, move.gives)
    if failures(undone):
        return {**failed, **failures(undone)}
    record = Record.last([record, *(one.record for one in successes(undone).values())])
    return {**failed, **_take(fleet, move, move.gives, record)}


def _let_go(fleet: Fleet, move: Move, hosts: Iterable[str], to: Holder) -> dict[str, Result[Given]]:
    asked = steps.let_go(move, to)
    return step_on_each(fleet, dict.fromkeys(sorted(hosts), asked))


def _take(fleet: Fleet, move: Move, holder: Holder, record: Record) -> dict[str, CartwheelError]:
    return failures(step_on_each(fleet, {holder.host: steps.take(move, holder, record)}))
