"""`fab watch`: look at all hosts again and again, over sessions that stay open."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from cartwheel.commands.looking import Looking
from cartwheel.commands.scene import Scene, opener
from cartwheel.fleet.sessions import Result
from cartwheel.host.wire.look import HostLook


class Watching:
    """Looks at the hosts of a scene. A session that is lost is opened again after a while."""

    def __init__(self, scene: Scene) -> None:
        open_session = opener(scene, changing=False)
        self._hosts = {host: Looking(host, open_session) for host in scene.hosts}
        self._cursors: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(scene.parallel, thread_name_prefix="look")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for one in self._hosts.values():
            one.close()

    def look(self) -> dict[str, Result[HostLook]]:
        """What each host says now, or why it says nothing."""
        return dict(zip(self._hosts, self._pool.map(self._look, self._hosts), strict=True))

    def _look(self, host: str) -> Result[HostLook]:
        found = self._hosts[host].look(self._cursors.get(host, ""))
        if isinstance(found, HostLook):
            self._cursors[host] = found.cursor
        return found
