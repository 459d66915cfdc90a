"""What a switch, the way back and a look need of a process: the interface of a kind."""

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


# first: it does nothing for anybody until the traffic moves, so it starts, and must show that it
# works, before anything else is changed. beside: it works from its start, beside the old one, so it
# starts when the way back is written down, and before the traffic moves.
Starts = Literal["first", "beside"]


class Process(Protocol):
    """One kind; an object without state. A release has a process where it has its unit file,
    `NAME@.service`; how that is called for systemd follows from its name (`Layout.unit`)."""

    @property
    def starts(self) -> Starts:
        """When in a switch a new instance starts."""

    def runs(self, process: str) -> bool:
        """Whether the process of this name is of this kind."""

    def prove(self, ctx: Context, at: Layout, one: Instance, probe: Probe) -> str:
        """Wait until an instance has shown that it works; by what, for people. Raises
        OpError("unhealthy")."""

    def problem(self, at: Layout, one: Instance, probe: Probe) -> str:
        """What is wrong with an instance that is up; "" if nothing. Asked again and again."""

    def queue(self, at: Layout, one: Instance) -> Optional[Quiet]:
        """What must be quiet before it may be asked to end, from now on; None if nothing."""

    def end(self, at: Layout, one: Instance, queue: Optional[Quiet]) -> bool:
        """Ask an instance to end with what it has under way, and wait for nothing but its queue.
        False: systemd asks it later."""

    def discard(self, at: Layout, one: Instance) -> None:
        """End an instance whose switch has come to nothing before anything was written down."""

    def facts(self, state: UnitState, problem: str, front: str) -> Serving:
        """What people want to know of an instance that should run."""
