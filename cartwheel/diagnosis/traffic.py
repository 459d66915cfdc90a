"""Far more requests than usual, or most of them by one client, while the app suffers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cartwheel.diagnosis import requests
from cartwheel.diagnosis.cause import GUESSED, NAMED, Case, Cause

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Minute, Visits

# Days have their hours: a day's busiest one has some three times its average, so three times the
# busiest that the log knows is no time of the day.
_TIMES = 3.0
_LEAST_A_MINUTE = 60.0  # one request a second is no surge for anybody
_LEAST_SECONDS = 30.0
# What is usual must be known: from this much time, with this many requests.
_KNOWN_SECONDS, _KNOWN_REQUESTS = 600.0, 100
_ONE_CLIENT = 0.5
_LEFT_SHARE = 0.05
_SLACK_SECONDS = 60.0
_QUEUE_PART = 0.1
_UNREAD = 3  # requests that nobody has read for a second: as `workers` takes it
# A client that makes nearly all requests, though there are no more than before: of one step, of all
# that time, and of the time before at most. Where that is not known, somebody else must be there: a
# proxy or an office makes all of them, always.
_MOST_OF_STEP, _MOST_OF_ALL, _BEFORE, _NOT_ALONE = 0.7, 0.8, 0.5, 0.97
_LEAST_BY_CLIENT = 100
_FLOODED = frozenset(
    {
        *(requests.SLOW, requests.LEFT, "workers-busy", "worker-timeout"),
        *("web-errors-queue", "web-errors-timeout", "web-errors-connections", "web-errors-rate"),
    }
)


def causes(case: Case) -> Iterator[Cause]:
    """A surge that is still on, or was the last one."""
    visits = case.found.visits
    if visits is None:
        return
    surge, before = _surge(visits)
    if not surge:
        yield from _one_client(case, visits)
        return
    if not _suffers(case, visits, surge):
        return
    count = sum(one.count for one in surge)
    rate = count * 60.0 / (len(surge) * visits.step)
    usual = _usual(visits, before)
    title = (
        f"far more requests than usual: {rate:,.0f} a minute, before it were at most {usual:,.0f}"
    )
    todo = "if these are visitors: more gunicorn.workers, or another host behind a balancer"
    evidence = [f"{one.count:,} requests in {visits.step:.0f} s" for one in surge[:2]]
    client, share = _client(surge)
    weight = GUESSED
    if share >= _ONE_CLIENT:
        title += f"; {client} makes {share:.0%} of them"
        evidence += _agent(visits, client)
        todo = _hold_off(case, client)
        weight = NAMED
    last = surge[-1].at + visits.step
    yield Cause(
        "traffic",
        title,
        todo,
        weight,
        tuple(evidence),
        surge[0].at,
        None if last >= case.found.time - visits.step else last,
        frozenset(
            {*_FLOODED, requests.FAILS, "web-errors-files", "log-flood"},
        ),
    )


def _agent(visits: Visits, client: str) -> Iterator[str]:
    if client in visits.agents:
        yield f"{client} says it is: {visits.agents[client]}"


def _hold_off(case: Case, client: str) -> str:
    return (
        f"web.rate_limit in the settings holds such clients off; `deny` of [web.paths] locks"
        f" {client} out; then `fab deploy -H {case.host}`"
    )


def _one_client(case: Case, visits: Visits) -> Iterator[Cause]:
    """A client that makes nearly all requests of late, if the app is too slow for them."""
    minutes = list(visits.minutes)
    run: list[Minute] = []
    while minutes and minutes[-1].by_client >= _MOST_OF_STEP * minutes[-1].count:
        if run and minutes[-1].client != run[0].client:
            break
        run.insert(0, minutes.pop())
    if not run:
        return
    client, share = _client(run)
    count = sum(one.by_client for one in run)
    rate = count * 60.0 / (run[-1].at + visits.step - run[0].at)
    earlier = _client(minutes)[1] if sum(one.count for one in minutes) >= _LEAST_BY_CLIENT else None
    is_new = earlier is not None and earlier < _BEFORE
    # All of a longer time: the app could do that until it became slow.
    is_short = run[-1].at - run[0].at < _KNOWN_SECONDS
    is_one_of_several = earlier is None and is_short and share < _NOT_ALONE
    if not (is_new or is_one_of_several) or share < _MOST_OF_ALL:
        return
    if count < _LEAST_BY_CLIENT or rate < _LEAST_A_MINUTE or not _is_slow(case, visits, run):
        return
    yield Cause(
        "traffic",
        f"{client} makes {share:.0%} of the requests: {rate:,.0f} a minute",
        _hold_off(case, client),
        GUESSED if is_new else GUESSED - 5,
        (
            *(
                (f"before it, one client made at most {earlier:.0%}",)
                if earlier is not None
                else ()
            ),
            *_agent(visits, client),
        ),
        run[0].at,
        explains=_FLOODED,
    )


def _surge(visits: Visits) -> tuple[list[Minute], list[Minute]]:
    """The last steps with far more requests than all before; and those before."""
    minutes = list(visits.minutes)
    for place in range(1, len(minutes)):
        before, after = minutes[:place], minutes[place:]
        known = after[0].at - before[0].at
        is_known = visits.hours or known >= _KNOWN_SECONDS
        if not is_known or _requests(visits, before) < _KNOWN_REQUESTS:
            continue
        limit = max(_LEAST_A_MINUTE, _TIMES * _usual(visits, before)) * visits.step / 60.0
        surge = []
        for one in after:
            if one.count < limit:
                break
            surge.append(one)
        if len(surge) * visits.step >= _LEAST_SECONDS:
            return surge, before
    return [], minutes


def _requests(visits: Visits, before: Sequence[Minute]) -> float:
    return sum(one.count for one in before) + (visits.before.count if visits.before else 0)


def _usual(visits: Visits, before: Sequence[Minute]) -> float:
    """The most requests a minute so far: of any hour of the day before, of any step since."""
    steps = [one.count * 60.0 / visits.step for one in before]
    return max([*visits.hours, *steps], default=0.0)


def _client(surge: Sequence[Minute]) -> tuple[str, float]:
    counts: dict[str, int] = {}
    for one in surge:
        counts[one.client] = counts.get(one.client, 0) + one.by_client
    client = max(counts, key=lambda one: counts[one])
    return client, counts[client] / max(1, sum(one.count for one in surge))


def _suffers(case: Case, visits: Visits, surge: Sequence[Minute]) -> bool:
    """Whether visitors notice it. A site that takes a surge well is not ill."""
    count = sum(one.count for one in surge)
    left = sum(one.given_up for one in surge)
    run = requests.failing_run(visits)
    fails = run is not None and run.end >= surge[0].at - _SLACK_SECONDS
    return fails or left >= _LEFT_SHARE * count or _is_slow(case, visits, surge)


def _is_slow(case: Case, visits: Visits, surge: Sequence[Minute]) -> bool:
    """Whether pages became slow, or requests wait for a worker."""
    begin = surge[0].at - _SLACK_SECONDS
    slow = any(
        one is not None and one.end >= begin
        for one in (requests.slower(url, visits.part) for url in visits.slowest)
    )
    return slow or any(
        one.waiting >= _UNREAD or (one.queue or 0) > _QUEUE_PART * (one.queue_max or 1e9)
        for one in case.found.uses
    )
