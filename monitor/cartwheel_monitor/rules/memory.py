"""The host has hardly any memory left. Swap does not count: who lives from it is slow already."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel_monitor.language import _
from cartwheel_monitor.observations import Around, Look
from cartwheel_monitor.subjects import MEMORY, Subject, Verdict

_MIB = 1 << 20


def verdicts(look: Look, around: Around) -> Iterator[Verdict]:
    """By the kernel's own estimate of what programs can still have (MemAvailable)."""
    seen = look.seen
    if seen is None or seen.memory <= 0 or seen.memory_available < 0:
        return
    subject = Subject(MEMORY.name, "", look.host)
    share = seen.memory_available / seen.memory
    limit = around.limits.memory_share
    if subject in around.down:
        limit *= 1 + around.limits.margin
    problem = ""
    if share < limit:
        problem = _("{percent} % of the memory is available ({mib} MiB)").format(
            percent=f"{100 * share:.0f}", mib=seen.memory_available // _MIB
        )
    yield Verdict(subject, look.at, problem)
