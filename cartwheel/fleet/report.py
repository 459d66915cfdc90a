"""What a run over hosts came to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from cartwheel.errors import CartwheelError, Exit

Outcome = Literal[
    "deployed", "unchanged", "prepared", "failed", "reverted", "attention", "not-tried"
]


# Stands for a release: what a host serves is not known, because contact was lost.
UNKNOWN = "?"


@dataclass(frozen=True)
class HostReport:
    """One host's line of the final table. `serves` is the release it serves now; None: nothing;
    UNKNOWN: nobody could ask it."""

    host: str
    outcome: Outcome
    serves: str | None
    before: str | None
    error: CartwheelError | None = None
    notes: tuple[str, ...] = ()
    round_trips: int = 0  # how often we waited for the host after the SSH handshake (P14)


@dataclass(frozen=True)
class Report:
    """The whole run. `hosts` is in the order in which they were named; `kind` is what was
    asked for: deploy, rollback, restart, or the last step that was to be prepared."""

    release: str
    version: str
    hosts: tuple[HostReport, ...]
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())
    kind: str = "deploy"

    @property
    def exit_code(self) -> int:
        """The worst of all hosts, in the sense of the exit codes of every task."""
        outcomes = {host.outcome for host in self.hosts}
        codes = [host.error.exit_code for host in self.hosts if host.error is not None]
        behind = outcomes & {"reverted", "failed"}
        if "attention" in outcomes or ("deployed" in outcomes and behind):
            return int(Exit.ATTENTION)  # hosts differ
        if "reverted" in outcomes:
            return int(Exit.REVERTED)
        if "failed" in outcomes:
            return int(Exit.LOCKED) if int(Exit.LOCKED) in codes else max(codes, default=1)
        return int(Exit.OK)

    def timed(self, seconds: float) -> Report:
        return replace(self, seconds=seconds)

    def of_kind(self, kind: str) -> Report:
        return replace(self, kind=kind)
