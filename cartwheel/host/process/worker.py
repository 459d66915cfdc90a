"""Every process besides web: a program that works from its start, and that nobody sends requests.

A program that must never run twice holds a kernel lock of its own (flock(1) in its unit): one that
is started too early waits for the lock.
"""

from __future__ import annotations

import os
import threading
from typing import Optional

from cartwheel.host.layout import Layout
from cartwheel.host.process.drain import Quiet
from cartwheel.host.process.kind import Proof
from cartwheel.host.process.parts import age, named
from cartwheel.host.state import environment, sides
from cartwheel.host.system import children, systemd
from cartwheel.host.system.context import Context, OpError, boottime
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.instance import WEB, Instance

_POLL_SECONDS = 0.2
_ASK_SECONDS = 10.0
_LOCK_PROGRAM = "flock"


class Worker:
    """A kind of process (`kind.Process`)."""

    def runs(self, process: str) -> bool:
        return process != WEB

    def prove(self, ctx: Context, at: Layout, one: Instance, probe: Probe) -> str:
        proof = self.proof(ctx, at, one, probe)
        while proof():
            ctx.progress("processes", proof())
            ctx.pause(_POLL_SECONDS)
        return f"{named(one)} is ready"

    def proof(self, ctx: Context, at: Layout, one: Instance, probe: Probe) -> Proof:
        return _Readiness(ctx, at, one).lacks

    def problem(self, at: Layout, one: Instance, probe: Probe, state: UnitState) -> str:
        return _ended(one, state) if state.has_failed else ""

    def queue(self, at: Layout, one: Instance) -> Optional[Quiet]:
        return None

    def end(self, at: Layout, one: Instance, queue: Optional[Quiet]) -> bool:
        systemd.stop(at.unit(one))
        return True

    def discard(self, at: Layout, one: Instance) -> None:
        systemd.kill(at.unit(one))


def _ended(one: Instance, state: UnitState) -> str:
    if state.result == "success":
        return f"{named(one)} ended by itself; a process must go on until it is stopped"
    return f"{named(one)} ended ({state.result})"


class _Readiness:
    """Whether an instance that was started is ready, asked again and again."""

    def __init__(self, ctx: Context, at: Layout, one: Instance) -> None:
        self._ctx = ctx
        self._at = at
        self._one = one
        self._known = sides.process(at, one)
        self._end = boottime() + self._known.deadline_seconds + self._known.ready_seconds
        self._asking: Optional[_Asking] = None

    def lacks(self) -> str:
        """What the instance still lacks; "" if it is ready. Raises OpError("not-ready") once it has
        failed or its time is up."""
        lacks = self._look()
        if lacks and boottime() > self._end:
            setting = (
                f"processes.{self._one.process}.{'ready' if self._asking else 'ready_seconds'}"
            )
            hint = f"{setting} decides when it is ready; health.deadline_seconds limits the wait."
            raise OpError("not-ready", lacks, hint)
        return lacks

    def _look(self) -> str:
        one, known = self._one, self._known
        state = systemd.state(self._at.unit(one))
        if state.has_failed:
            raise OpError("not-ready", _ended(one, state))
        up_seconds = age(state)
        if up_seconds is None or up_seconds < known.ready_seconds:
            return f"{named(one)} must be up for {known.ready_seconds:g} s"
        if waits_for_lock(state.main_pid):
            return f"{named(one)} waits until the one before it has ended"
        return self._answer() if known.ready else ""

    def _answer(self) -> str:
        """What `ready` says; it runs beside the watch, which must not wait for it."""
        asking = self._asking
        if asking is None or asking.failed:
            asking = _Asking(self._ctx, self._at, self._one, self._known.ready, before=asking)
            self._asking = asking
            asking.start()
        return asking.lacks


class _Asking(threading.Thread):
    """One call of `ready`, as the app's user in the process's environment."""

    def __init__(
        self, ctx: Context, at: Layout, one: Instance, command: str, before: "Optional[_Asking]"
    ) -> None:
        super().__init__(name=f"ready {one.process}", daemon=True)
        self.lacks: str = (
            before.lacks if before else f"{named(one)}: `{command}` has not answered yet"
        )
        self.failed = False
        self._ctx = ctx
        self._at = at
        self._one = one
        self._command = command

    def run(self) -> None:
        try:
            done = children.run(
                self._ctx,
                ["/bin/sh", "-c", self._command],
                timeout_seconds=_ASK_SECONDS,
                env=environment.of_instance(self._at, self._one),
                user=environment.app_user(self._at),
                cwd=str(self._at.shared),
            )
        except Exception as error:  # whatever it was, the next call may do better
            self.lacks, self.failed = f"{named(self._one)}: `{self._command}`: {error}", True
            return
        if done.status == 0:
            self.lacks = ""
            return
        said = "".join(f": {line}" for line in done.output.strip().splitlines()[-1:])
        self.lacks = f"{named(self._one)}: `{self._command}` ended with {done.status}{said}"
        self.failed = True


def waits_for_lock(main_pid: int) -> bool:
    """Whether it still waits for its lock."""
    try:
        return os.path.basename(os.readlink(f"/proc/{main_pid}/exe")) == _LOCK_PROGRAM
    except OSError:
        return False
