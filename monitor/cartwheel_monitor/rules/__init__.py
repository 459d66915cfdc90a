"""What looks mean: each rule turns one look, and what is known around it, into verdicts.

Pure. A rule gives a verdict for everything that it could judge there, good or bad: a subject that
a look does not mention any more is gone. A new rule is one file, and one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cartwheel_monitor.observations import Around, Look
from cartwheel_monitor.rules import (
    behind,
    certificate,
    clock,
    deploys,
    disk,
    errors,
    memory,
    process,
    restarts,
    slow,
    timers,
    unfinished,
)
from cartwheel_monitor.subjects import Verdict

Rule = Callable[[Look, Around], Iterator[Verdict]]

RULES: tuple[Rule, ...] = (
    process.verdicts,
    restarts.verdicts,
    errors.verdicts,
    slow.verdicts,
    timers.verdicts,
    memory.verdicts,
    disk.verdicts,
    certificate.verdicts,
    behind.verdicts,
    deploys.verdicts,
    unfinished.verdicts,
    clock.verdicts,
)
"""The rules of an answered look. What is wrong with a look itself is in `reach`."""
