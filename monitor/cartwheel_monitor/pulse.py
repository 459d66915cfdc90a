"""Whether a subject is well, by its looks in a row: one bad look is repeated before it counts.

Pure: each look makes a new pulse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from cartwheel_monitor.subjects import KINDS, Verdict

State = Literal["well", "down"]
Change = Literal["", "down", "well"]


@dataclass(frozen=True)
class Pulse:
    """`bad`, `good`: so many looks in a row said so. `began`: the first bad look of the row that
    made it down, or that may."""

    state: State = "well"
    bad: int = 0
    good: int = 0
    began: float = 0.0
    problem: str = ""

    @property
    def is_doubtful(self) -> bool:
        """It was bad, and may be so again."""
        return self.state == "well" and self.bad > 0


def after(pulse: Pulse, look: Verdict) -> tuple[Pulse, Change]:
    """The pulse after a look, and whether the subject has become down or well by it."""
    kind = KINDS[look.subject.kind]
    if look.problem is None:
        return pulse, ""
    if look.problem:
        began = pulse.began if pulse.bad or pulse.state == "down" else look.at
        now = replace(pulse, bad=pulse.bad + 1, good=0, began=began, problem=look.problem)
        if now.state == "well" and now.bad >= kind.bad_looks:
            return replace(now, state="down"), "down"
        return now, ""
    if pulse.state == "well":
        return (Pulse() if pulse.bad else pulse), ""
    now = replace(pulse, bad=0, good=pulse.good + 1)
    if now.good >= kind.good_looks:
        return Pulse(), "well"
    return now, ""


def next_look(pulse: Pulse, at: float, every: float) -> float:
    """When to look again after a look at that time: soon after the first bad one, more often while
    it is down."""
    if pulse.is_doubtful:
        return at + min(AGAIN_SECONDS, every)
    if pulse.state == "down":
        return at + min(DOWN_SECONDS, every)
    return at + every


AGAIN_SECONDS = 5.0
DOWN_SECONDS = 10.0
