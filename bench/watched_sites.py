"""Pretended sites for a monitor: each has a port of loopback, and answers, or not, in some way."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Literal

Way = Literal["well", "refuses", "fails", "closes", "silent"]
TROUBLES: tuple[Way, ...] = ("refuses", "fails", "closes", "silent")

_BODY = b"ok\n"
_ANSWERS = {
    "well": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n" + _BODY,
    "fails": b"HTTP/1.1 503 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\n" + _BODY,
}
_SILENT_SECONDS = 60.0


class WatchedSites:
    """The sites by name. `ways` is changed by `set`; `asked` are the times of requests, by the
    system's clock."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self.asked: dict[str, list[float]] = defaultdict(list)
        self._ways: dict[str, Way] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._loop = asyncio.new_event_loop()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}/health"

    def set(self, name: str, way: Way) -> None:
        """Let it answer that way from now on."""
        asyncio.run_coroutine_threadsafe(self._set(name, way), self._loop).result(10)

    async def _set(self, name: str, way: Way) -> None:
        self._ways[name] = way
        server = self._servers.pop(name, None)
        if way == "refuses" and server is not None:
            server.close()
        elif way != "refuses" and server is None:
            server = await self._listen(name)
        if way != "refuses" and server is not None:
            self._servers[name] = server

    async def _listen(self, name: str) -> asyncio.Server:
        port = self.ports.get(name, 0)
        server = await asyncio.start_server(partial(self._answer, name), "127.0.0.1", port)
        self.ports[name] = server.sockets[0].getsockname()[1]
        return server

    async def _answer(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.asked[name].append(time.time())
        way = self._ways[name]
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if way == "silent":
                await asyncio.wait_for(reader.read(), _SILENT_SECONDS)
            writer.write(_ANSWERS.get(way, b""))
            await writer.drain()
        writer.close()

    def run(self, ready: Callable[[], None]) -> None:
        """Answer until `stop`."""
        self._loop.call_soon(ready)
        self._loop.run_forever()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextmanager
def watched_sites(names: Sequence[str]) -> Iterator[WatchedSites]:
    """Start the sites; all are well."""
    sites, ready = WatchedSites(), threading.Event()
    thread = threading.Thread(target=sites.run, args=(ready.set,), daemon=True)
    thread.start()
    try:
        assert ready.wait(10), "the sites did not start"
        for name in names:
            sites.set(name, "well")
        yield sites
    finally:
        sites.stop()
        thread.join(10)
