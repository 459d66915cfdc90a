"""Put the causes in order, the likeliest first, each with what was changed just before it began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartwheel.diagnosis.cause import Case, Cause
from cartwheel.diagnosis.rules import RULES

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Change, Diagnosis

# A cause that was not seen for this long may be over.
_OVER_SECONDS = 600.0
_OVER = 20
_FOLLOWS = 35
# What follows from a cause may be noticed a little before it.
_SLACK_SECONDS = 90.0
_CHANGED_SECONDS = 3600.0
_MOST_CHANGES = 3
_AT_ITS_END = ("deploy", "rollback", "settings")
_SAME_SECONDS = 2.0  # times of logs are whole seconds


@dataclass(frozen=True)
class Ranked:
    """A cause in its place. `follows`: the slugs of the causes that explain it, the likeliest
    first. `changes`: what was changed just before it began, the newest first. `over`: it was not
    seen lately."""

    cause: Cause
    follows: tuple[str, ...]
    changes: tuple[Change, ...]
    over: bool


def ranked(case: Case) -> list[Ranked]:
    """All causes on a host, the likeliest first."""
    causes = [cause for rule in RULES for cause in rule(case)]
    found = case.found
    placed = [
        Ranked(one, _reasons(one, causes), changes_before(found, one.began), _is_over(one, found))
        for one in causes
    ]
    return sorted(placed, key=_order)


def _order(one: Ranked) -> tuple[float, int, float]:
    """Of equal weight, what follows from more comes later: from what stands above it, too."""
    weight = one.cause.weight - (_FOLLOWS if one.follows else 0) - (_OVER if one.over else 0)
    return (-weight, len(one.follows), one.cause.began or 0.0)


def _reasons(one: Cause, causes: Sequence[Cause]) -> tuple[str, ...]:
    """The causes that this one follows from: each says so, and began no later."""
    fitting = [
        other
        for other in causes
        if one.slug in other.explains and other.slug != one.slug and _earlier(other, one)
    ]
    heaviest = sorted(fitting, key=lambda other: -other.weight)
    return tuple(dict.fromkeys(other.slug for other in heaviest))


def _earlier(cause: Cause, effect: Cause) -> bool:
    """Whether the effect was still seen after the cause had begun."""
    if cause is effect or cause.weight < effect.weight:
        return False
    return cause.began is None or effect.last is None or effect.last >= cause.began - _SLACK_SECONDS


def _is_over(one: Cause, found: Diagnosis) -> bool:
    return one.last is not None and found.time - one.last > _OVER_SECONDS


def changes_before(found: Diagnosis, began: float | None) -> tuple[Change, ...]:
    """The last changes before that time. A deploy is written down at its end: what it breaks may
    be noticed before."""
    if began is None:
        return ()
    near = [
        one
        for one in found.changes
        if began - _CHANGED_SECONDS <= one.at <= began + _noticed_within(one)
    ]
    return tuple(sorted(near, key=lambda one: -one.at)[:_MOST_CHANGES])


def _noticed_within(change: Change) -> float:
    return _SLACK_SECONDS if change.kind in _AT_ITS_END else _SAME_SECONDS
