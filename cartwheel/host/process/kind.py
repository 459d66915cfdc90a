"""The interface of a kind of process, as switch, rollback and status use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Optional, Protocol

from cartwheel.host.layout import Layout
from cartwheel.host.process.drain import Quiet
from cartwheel.host.system.context import Context
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.instance import Instance

if TYPE_CHECKING:
    from cartwheel.host.wire.status import Serving


# first: the instance has nothing to do until the traffic moves, so it starts, and must pass its
# check, before anything else is changed. beside: the instance works from its start, in parallel
# with the old one, so it starts after the pending mark is written and before the traffic moves.
Starts = Literal["first", "beside"]


class Process(Protocol):
    """One kind; an object without state. A release has the process if it has its unit file,
    `NAME@.service`; `Layout.unit` derives systemd's name from that."""

    @property
    def starts(self) -> Starts:
        """When in a switch a new instance starts."""

    def runs(self, process: str) -> bool:
        """Whether the process of this name is of this kind."""

    def prove(self, ctx: Context, at: Layout, one: Instance, probe: Probe) -> str:
        """Wait until an instance passes its check; a text says how. Raises OpError("unhealthy")."""

    def problem(self, at: Layout, one: Instance, probe: Probe) -> str:
        """The problem of an instance that is up; "" if it has none. Called repeatedly."""

    def queue(self, at: Layout, one: Instance) -> Optional[Quiet]:
        """The queue, if any, that must be quiet before the instance may be asked to stop."""

    def end(self, at: Layout, one: Instance, queue: Optional[Quiet]) -> bool:
        """Ask an instance to finish its work and stop; wait only for its queue. False: systemd asks
        it later."""

    def discard(self, at: Layout, one: Instance) -> None:
        """Stop an instance whose switch failed before the pending mark was written."""

    def facts(self, state: UnitState, problem: str, front: str) -> Serving:
        """What `fab status` shows of an instance that should run."""
