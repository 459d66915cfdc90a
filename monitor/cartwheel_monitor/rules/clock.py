"""The host's clock differs from the monitor's."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel_monitor.language import _
from cartwheel_monitor.observations import Around, Look
from cartwheel_monitor.subjects import CLOCK, Subject, Verdict

_LEAST_HOSTS = 3  # of fewer hosts "most of them" says nothing


def verdicts(look: Look, around: Around) -> Iterator[Verdict]:
    """The host wrote its time down at some moment of the look: its length is doubt."""
    if look.seen is None or look.seen.time <= 0:
        return
    ahead = off(look)
    problem = ""
    if abs(ahead) > around.limits.clock_seconds:
        how = _of_most(ahead) if _is_ours(ahead, around) else _of_one(ahead)
        problem = how.format(seconds=round(abs(ahead)))
    yield Verdict(Subject(CLOCK.name, "", look.host), look.at, problem)


def _of_one(ahead: float) -> str:
    if ahead > 0:
        return _("its clock is {seconds} s ahead")
    return _("its clock is {seconds} s behind")


def _of_most(ahead: float) -> str:
    if ahead > 0:
        return _(
            "its clock is {seconds} s ahead; so are most others: perhaps it is the monitor's own"
            " clock"
        )
    return _(
        "its clock is {seconds} s behind; so are most others: perhaps it is the monitor's own clock"
    )


def off(look: Look) -> float:
    """By how much it is ahead, for sure; 0 while the length of the look can explain it."""
    time = look.seen.time if look.seen else look.at
    if time > look.at:
        return time - look.at
    return min(0.0, time - (look.at - look.seconds))


def _is_ours(ahead: float, around: Around) -> bool:
    others = [off(one) for one in around.others.values() if one.seen]
    same = [
        one for one in others if abs(one) > around.limits.clock_seconds and (one > 0) == (ahead > 0)
    ]
    return len(others) + 1 >= _LEAST_HOSTS and 2 * (len(same) + 1) > len(others) + 1
