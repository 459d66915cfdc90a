"""web: gunicorn on a socket of its own, behind the web server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.process import drain, health
from cartwheel.host.process.kind import Starts
from cartwheel.host.system import systemd
from cartwheel.host.system.context import Context
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.instance import WEB, Instance

if TYPE_CHECKING:
    from cartwheel.host.wire.status import Serving

# Most are quiet after this time.
PATIENCE_SECONDS = 5.0


class Web:
    """A kind of process (`kind.Process`)."""

    @property
    def starts(self) -> Starts:
        return "first"

    def runs(self, process: str) -> bool:
        return process == WEB

    def prove(self, ctx: Context, at: Layout, one: Instance, probe: Probe) -> str:
        answers = health.prove(ctx, at.unit(one), at.socket(one), probe)
        return f"{answers} good answers on its own socket"

    def problem(self, at: Layout, one: Instance, probe: Probe) -> str:
        return health.ask_socket(at.socket(one), probe)

    def queue(self, at: Layout, one: Instance) -> Optional[drain.Quiet]:
        return drain.Quiet(at.socket(one))

    def end(self, at: Layout, one: Instance, queue: Optional[drain.Quiet]) -> bool:
        """Ask once no connection waits. If all workers are busy, systemd asks later: a stopping
        gunicorn accepts no more connections, so those that wait would be lost."""
        unit = at.unit(one)
        is_taken = queue and systemd.state(unit).is_up and not queue.wait(PATIENCE_SECONDS)
        if is_taken and systemd.stop_when_quiet(at, one):
            return False
        systemd.stop(unit)
        return True

    def discard(self, at: Layout, one: Instance) -> None:
        """Kill it: it never had a request, and a hanging import would use up a stop's timeout."""
        systemd.kill(at.unit(one))

    def facts(self, state: UnitState, problem: str, front: str) -> Serving:
        from cartwheel.host.wire.status import Serving

        return Serving(
            age_seconds=_age(state),
            active=state.active,
            sub=state.sub,
            result=state.result,
            workers=len(systemd.worker_pids(state.main_pid)),
            suspended=systemd.suspended(state.main_pid),
            memory_bytes=state.memory_bytes or systemd.memory_of_processes(state.main_pid),
            restarts=state.restarts,
            main_pid=state.main_pid,
            problem=problem,
            front=front,
            healthy=not problem,
        )


def _age(state: UnitState) -> Optional[float]:
    """Seconds that the unit has been up, independent of the host's clock."""
    if state.since_monotonic is None or not state.is_up:
        return None
    return round(time.clock_gettime(time.CLOCK_MONOTONIC) - state.since_monotonic, 1)
