"""`fab watch`: look at all hosts again and again, over sessions that stay open."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cartwheel.commands.scene import Scene, reach
from cartwheel.errors import CartwheelError, ConnectError
from cartwheel.fleet.sessions import Fleet, Result
from cartwheel.host.wire.look import AskLook, HostLook

if TYPE_CHECKING:
    from cartwheel.ssh.session import Session

_LOOK_SECONDS = 15.0
_AGAIN_SECONDS = 10.0  # a host that could not be reached is tried again so long after


class Watching:
    """Sessions with the hosts of a scene. One that is lost is opened again after a while."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._sessions: dict[str, Session] = {}
        self._cursors: dict[str, str] = {}
        self._lost: dict[str, tuple[float, CartwheelError]] = {}
        self._leaving = ExitStack()
        self._fleet = Fleet(self._sessions, scene.emit, parallel=scene.parallel)

    def __enter__(self) -> Self:
        self._open(self._scene.hosts)
        self._leaving.enter_context(self._fleet)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.__exit__(kind, error, trace)

    def look(self) -> dict[str, Result[HostLook]]:
        """What each host says now, or why it says nothing."""
        now = time.monotonic()
        again = [host for host, (at, _) in self._lost.items() if now - at >= _AGAIN_SECONDS]
        if again:
            self._open(tuple(again))
        found = self._fleet.each(self._asked, list(self._sessions))
        for host, one in found.items():
            if isinstance(one, HostLook):
                self._cursors[host] = one.cursor
            elif isinstance(one, ConnectError):
                self._sessions.pop(host).close(seconds=0)
                self._lost[host] = (time.monotonic(), one)
        lost = {host: one for host, (_, one) in self._lost.items()}
        return {host: found[host] if host in found else lost[host] for host in self._scene.hosts}

    def _asked(self, host: str, session: Session) -> HostLook:
        asked = AskLook(self._cursors.get(host, ""))
        return session.request(asked, deadline_seconds=_LOOK_SECONDS)

    def _open(self, hosts: tuple[str, ...]) -> None:
        chosen = tuple(host for host in self._scene.chosen if host.name in hosts)
        sessions, problems = reach(replace(self._scene, chosen=chosen), changing=False)
        self._sessions |= sessions
        for host in hosts:
            self._lost.pop(host, None)
        self._lost |= {host: (time.monotonic(), one) for host, one in problems.items()}
