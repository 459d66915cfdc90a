"""The result of a run over hosts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from cartwheel.errors import CartwheelError, Exit

if TYPE_CHECKING:
    from cartwheel.host.wire.processes import Row

Outcome = Literal[
    "deployed", "unchanged", "prepared", "failed", "reverted", "attention", "not-tried"
]


# In place of a release: the live release is unknown, because the connection was lost.
UNKNOWN = "?"


@dataclass(frozen=True)
class HostReport:
    """One host's row of the final table. `serves` is the live release; None: no release;
    UNKNOWN: the host could not be asked."""

    host: str
    outcome: Outcome
    serves: str | None
    before: str | None
    error: CartwheelError | None = None
    notes: tuple[str, ...] = ()
    round_trips: int = 0  # number of waits for the host after the SSH handshake (P14)
    draining: tuple[Row, ...] = ()  # old instances, besides web, that still finish their jobs
    connections: int = 0  # of the old web instance, when it was asked to stop


@dataclass(frozen=True)
class Report:
    """The whole run. `hosts` is in the order in which they were named; `kind` is the task: deploy,
    rollback, restart, or the last step to prepare."""

    release: str
    version: str
    hosts: tuple[HostReport, ...]
    seconds: float = 0.0
    kind: str = "deploy"

    @property
    def exit_code(self) -> int:
        """The exit code of the worst outcome."""
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
