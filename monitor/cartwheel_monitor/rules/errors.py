"""The share of 5xx answers is high, and clearly above what the app always does."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cartwheel_monitor.language import _
from cartwheel_monitor.limits import Limits
from cartwheel_monitor.observations import Around, Look, Traffic, Usual
from cartwheel_monitor.rules import together
from cartwheel_monitor.subjects import ERRORS, Verdict

# Where the usual share is not known yet: an app without a fault has hardly any 5xx.
_UNKNOWN_SHARE = 0.005


def verdicts(look: Look, around: Around) -> Iterator[Verdict]:
    """Of each app on this host, and of all its hosts together: a small site has its 50 requests
    only there, and one ill host of forty is seen only alone."""
    yield from together.verdicts(ERRORS, _problem, look, around)


def _problem(traffic: Traffic, usual: Usual, limits: Limits, is_down: bool) -> str | None:
    if traffic.count < limits.errors_requests:
        # Too few to say that it is bad. A few good ones do say that it is over.
        return None if traffic.failed or not traffic.count else ""
    share = usual.share if usual.share is not None else _UNKNOWN_SHARE
    ease = 1 - limits.margin if is_down else 1.0
    expected = share * traffic.count
    by_chance = expected + limits.deviations * math.sqrt(expected + 1)
    is_bad = (
        traffic.share > limits.errors_share * ease
        and traffic.share > share * limits.errors_times * ease
        and traffic.failed >= limits.errors_failed * ease
        and traffic.failed > by_chance * ease
    )
    if not is_bad:
        return ""
    return _("{percent} % of {count} requests failed with 5xx in {minutes} minutes").format(
        percent=round(100 * traffic.share),
        count=traffic.count,
        minutes=max(1, round(traffic.seconds / 60)),
    )
