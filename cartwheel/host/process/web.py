"""web: gunicorn on a socket of its own, behind the web server."""

from __future__ import annotations

from typing import Optional

from cartwheel.host.layout import Layout
from cartwheel.host.process import drain, health
from cartwheel.host.process.kind import Proof
from cartwheel.host.system import systemd
from cartwheel.host.system.context import Context
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.instance import WEB, Instance

# Most are quiet after this time.
PATIENCE_SECONDS = 5.0


class Web:
    """A kind of process (`kind.Process`)."""

    def runs(self, process: str) -> bool:
        return process == WEB

    def prove(self, ctx: Context, at: Layout, one: Instance, probe: Probe) -> str:
        answers = health.prove(ctx, at.unit(one), at.socket(one), probe)
        return f"{answers} good answers on its own socket"

    def proof(self, ctx: Context, at: Layout, one: Instance, probe: Probe) -> Proof:
        return lambda: health.ask_socket(at.socket(one), probe)

    def problem(self, at: Layout, one: Instance, probe: Probe, state: UnitState) -> str:
        answers = "" if _ended(state) else health.ask_socket(at.socket(one), probe)
        # What ended meanwhile says more than the answer that came of it.
        return _ended(systemd.state(at.unit(one)) if answers else state) or answers

    def queue(self, at: Layout, one: Instance) -> Optional[drain.Quiet]:
        return drain.Quiet(at.socket(one))

    def end(self, at: Layout, one: Instance, queue: Optional[drain.Quiet]) -> bool:
        """Ask once no connection waits. If all workers are busy, systemd asks later: a stopping
        gunicorn accepts no more connections, so those that wait would be lost."""
        unit = at.unit(one)
        is_up = systemd.state(unit).is_up
        is_taken = queue and is_up and not queue.wait(PATIENCE_SECONDS)
        if queue and is_up:
            queue.count()
        if is_taken and systemd.stop_when_quiet(at, one):
            return False
        systemd.stop(unit)
        return True

    def discard(self, at: Layout, one: Instance) -> None:
        """Kill it: it never had a request, and a hanging import would use up a stop's timeout."""
        systemd.kill(at.unit(one))


def _ended(state: UnitState) -> str:
    is_up = state.is_up and not state.has_failed
    return "" if is_up else f"its main process ended ({state.result})"
