"""Takes the locks of all hosts of a run, or none; two runs never block each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cartwheel.errors import CartwheelError
from cartwheel.fleet import identity
from cartwheel.fleet.sessions import Fleet, Result, failures, successes
from cartwheel.fleet.terms import Terms
from cartwheel.host.wire.locking import Lock, Locked, Unlock


def lock_all(fleet: Fleet, hosts: Iterable[str], terms: Terms) -> dict[str, Result[Locked]]:
    """Lock these hosts in parallel, without waiting. If another run holds one of the locks, all
    locks are released, and taken one after the other in sorted order. So two runs never block each
    other, and without a rival the locks of many hosts take no longer than one.

    The hosts' answers; in sorted order the first failure that the fleet cannot go on with is
    the last answer.
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
            # The refused name is a second name of a host that is locked: report only one of them.
            return {**successes(answers), **twins}
        fleet.each(lambda _host, one: one.request(Unlock()), successes(answers))
    return _lock_in_order(fleet, names, terms)


def _lock_in_order(fleet: Fleet, names: list[str], terms: Terms) -> dict[str, Result[Locked]]:
    answers: dict[str, Result[Locked]] = {}
    for host in names:
        try:
            answers[host] = lock(fleet, host, terms)
        except CartwheelError as error:
            answers[host] = error
            if len(fleet.fallen | failures(answers)) > fleet.max_failures:
                break
    return answers


def lock(fleet: Fleet, host: str, terms: Terms) -> Locked:
    return fleet.sessions[host].request(
        Lock(terms.lock_wait_seconds, terms.about_freeze),
        # Taking the lock also recovers the host from an earlier session.
        deadline_seconds=terms.lock_wait_seconds + terms.finish_seconds,
        on_event=fleet.listener(host),
    )
