"""Answers take much longer than usual at this hour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from cartwheel.host.wire.look import BOUNDS
from cartwheel_monitor.language import _
from cartwheel_monitor.limits import Limits
from cartwheel_monitor.observations import Around, Look, Traffic, Usual
from cartwheel_monitor.rules import together
from cartwheel_monitor.subjects import SLOW, Verdict

_SHARE = 0.95


def verdicts(look: Look, around: Around) -> Iterator[Verdict]:
    """Of each app on this host, and of all its hosts together."""
    yield from together.verdicts(SLOW, _problem, look, around)


def _problem(traffic: Traffic, usual: Usual, limits: Limits, is_down: bool) -> str | None:
    found = p95(traffic.times)
    if found is None or traffic.count < limits.slow_requests:
        return None
    if usual.p95 is None:
        # The first days: nobody knows what is usual. What is quick is well.
        return "" if found <= limits.slow_seconds else None
    ease = 1 - limits.margin if is_down else 1.0
    limit = max(limits.slow_seconds, usual.p95 * limits.slow_times) * ease
    # Where one of twenty requests always takes long, it is chance on which side of 95 % they fall.
    expected = (1 - _SHARE) * traffic.count
    by_chance = expected + limits.deviations * math.sqrt(expected + 1) * ease
    if slower(traffic.times, limit) <= by_chance:
        return ""
    return _("5 % of the requests take longer than {now} s; usual at this hour: {usual} s").format(
        now=f"{found:.1f}", usual=f"{usual.p95:.1f}"
    )


def slower(times: Sequence[int], limit: float) -> float:
    """How many requests took longer than that, as if those of an interval were spread evenly."""
    count = float(sum(times))
    lower = 0.0
    for upper, inside in zip(BOUNDS, times):
        if limit < upper:
            return count - inside * max(0.0, limit - lower) / (upper - lower)
        count -= inside
        lower = upper
    return count


def p95(times: Sequence[float]) -> float | None:
    """What 95 of 100 requests take at most: see `quantile`."""
    return quantile(times, _SHARE)


def quantile(times: Sequence[float], share: float) -> float | None:
    """What this share of the requests take at most, within an interval of BOUNDS as if they were
    spread evenly; of those that took longer than the last bound, that bound."""
    whole = sum(times)
    if not whole:
        return None
    left = share * whole
    lower = 0.0
    for upper, count in zip(BOUNDS, times):
        if count and left <= count:
            return lower + (upper - lower) * left / count
        left -= count
        lower = upper
    return BOUNDS[-1]
