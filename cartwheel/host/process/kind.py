"""The interface of a kind of process, as switch, rollback and status use it."""

from __future__ import annotations

from typing import Callable, Optional, Protocol

from cartwheel.host.layout import Layout
from cartwheel.host.process.drain import Quiet
from cartwheel.host.system.context import Context
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.instance import Instance

# What an instance still lacks to be ready; "" if nothing. Raises OpError if it never will be.
Proof = Callable[[], str]


class Process(Protocol):
    """One kind; an object without state. A release has the process if it has its unit file,
    `NAME@.service`; `Layout.unit` derives systemd's name from that. When a new instance starts in a
    switch is `sides.starts`."""

    def runs(self, process: str) -> bool:
        """Whether the process of this name is of this kind."""

    def prove(self, ctx: Context, at: Layout, one: Instance, probe: Probe) -> str:
        """Wait until an instance passes its check; a text says how. Raises OpError("unhealthy")."""

    def proof(self, ctx: Context, at: Layout, one: Instance, probe: Probe) -> Proof:
        """The same without waiting, to be asked again and again."""

    def problem(self, at: Layout, one: Instance, probe: Probe, state: UnitState) -> str:
        """The problem of an instance that has started; "" if it has none. Called repeatedly."""

    def queue(self, at: Layout, one: Instance) -> Optional[Quiet]:
        """The queue, if any, that must be quiet before the instance may be asked to stop."""

    def end(self, at: Layout, one: Instance, queue: Optional[Quiet]) -> bool:
        """Ask an instance to finish its work and stop; wait only for its queue. False: systemd asks
        it later."""

    def discard(self, at: Layout, one: Instance) -> None:
        """Stop an instance whose switch failed before the pending mark was written."""
