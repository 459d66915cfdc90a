"""One possible cause of what is wrong on a host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Diagnosis, Sign

# How likely a finding is the cause, before it is compared with others.
STOPS = 90
"""It was seen just now, and the app cannot work with it."""
NAMED = 75
"""A log or a counter names it as the reason of failures."""
GUESSED = 55
"""Several facts point to it."""
SYMPTOM = 40
"""It is seldom the cause: something else makes it happen."""
SOON = 25
"""Nothing fails yet, but soon will."""


@dataclass(frozen=True)
class Case:
    """The evidence of one host. `off_seconds`: how far its clock is ahead of this machine's."""

    host: str
    found: Diagnosis
    off_seconds: float = 0.0

    def signs(self, *kinds: str) -> list[Sign]:
        """The signs of these kinds, the most frequent first."""
        fitting = [one for one in self.found.signs if one.kind in kinds]
        return sorted(fitting, key=lambda one: -one.count)


@dataclass(frozen=True)
class Cause:
    """`slug` names the kind of cause, `title` says it in one sentence without a full stop. `todo`:
    what to do. `evidence`: lines that show it. `began` and `last`: when it was seen first and last,
    by the host's clock; None: not known, and for `last`: it is so now. `explains`: slugs of causes
    that follow from this one."""

    slug: str
    title: str
    todo: str
    weight: int
    evidence: tuple[str, ...] = ()
    began: float | None = None
    last: float | None = None
    explains: frozenset[str] = field(default_factory=frozenset)


# One kind of cause: what it finds.
Rule = Callable[[Case], Iterator[Cause]]
