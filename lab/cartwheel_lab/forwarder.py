"""The network between this machine and one lab host, and the faults in it.

Each host has its own forwarder process (`main`). It listens on 127.0.1.N and connects inside the
host's network namespace; in the other direction it listens inside the namespace and connects to the
package depot. A line of JSON on its control socket changes its behaviour (see `command`).

Lab hosts can reach each other: inside any host, `127.0.1.N:3143` leads to port 80 of the lab host
with that address, 3144 to its sshd and 3145 to its port 443, over that host's line with its faults.
The request then comes from the address of the lab host that sent it, not from 127.0.0.1.

A black hole is real: a socket filter drops every segment before TCP sees it, so nothing is
acknowledged, and both ends notice as slowly as they do on a dead line.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import json
import os
import resource
import socket
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cartwheel.errors import LabError

ADDRESSES = "127.0.1."
SERVICES = {"ssh": (22, 2022), "http": (80, 8080), "https": (443, 8443)}
"""Ports inside the host, each with the outer port to use if this machine already uses it."""

_FIRST, _LAST = 11, 254  # 127.0.1.1 is often the machine's own name

INDEX_PORT, APT_PORT = 3141, 3142
PEER_PORTS = {"http": 3143, "ssh": 3144, "https": 3145}
"""Inside a host, these ports at another host's address lead to that host's services."""

_CLONE_NEWNET = 0x40000000
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_CHUNK_BYTES = 65536
_WINDOW_BYTES = 1 << 20  # per direction: data that may be on the line at once
_BACKLOG = 512
_libc = ctypes.CDLL(None, use_errno=True)

Link = Literal["up", "cut", "black-hole", "off"]
Reach = Callable[[socket.socket], Awaitable[socket.socket]]
"""Connects an incoming connection to its target."""


@dataclass
class Wire:
    """The line: `delay_ms` per round trip, `bytes_per_second` per direction (0: no limit)."""

    link: Link = "up"
    delay_ms: float = 0.0
    bytes_per_second: float = 0.0
    services: bool = True  # the index and the apt proxy inside the host


def call(path: Path, message: dict[str, Any], timeout_seconds: float = 10.0) -> dict[str, Any]:
    """Send one command to a forwarder and return its answer. Raises OSError or LabError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.settimeout(timeout_seconds)
        control.connect(str(path))
        control.sendall(json.dumps(message).encode() + b"\n")
        with control.makefile("rb") as answers:
            line = answers.readline()
    answer: dict[str, Any] = json.loads(line or b'{"error": "the forwarder hung up"}')
    if "error" in answer:
        raise LabError("lab-failed", f"forwarder: {answer['error']}")
    return answer


@contextmanager
def _namespace(pid: int) -> Iterator[None]:
    """Create sockets in the network namespace of `pid`; they stay in it after the block."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        other = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(other)
        finally:
            os.close(other)
        try:
            yield
        finally:
            _setns(own)
    finally:
        os.close(own)


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _drop_all(sock: socket.socket) -> None:
    """Attach the BPF program `ret #0`: the kernel drops incoming data without acknowledging it."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    filter_ = struct.pack("HxxxxxxP", 1, ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)


def _drop_none(sock: socket.socket) -> None:
    with suppress(OSError):  # ENOENT: there was no filter
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def _address(end: Callable[[], tuple[str, int]]) -> str:
    """The address of one end of a connection; "" if the connection has closed already."""
    try:
        return end()[0]
    except OSError:
        return ""


async def _connected(sock: socket.socket, place: str | tuple[str, int]) -> socket.socket:
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock


def _listener(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def claim(preferred: int) -> tuple[int, dict[str, socket.socket], dict[str, int]]:
    """Take a free address: binding it is a machine-wide lock, which the kernel releases.

    If another program holds port 22, 80 or 443 on every address, the alternative port is used.
    Raises LabError if all addresses are in use.
    """
    order = [preferred, *(n for n in range(_FIRST, _LAST + 1) if n != preferred)]
    for choice in range(2):
        for number in order:
            taken: dict[str, socket.socket] = {}
            ports: dict[str, int] = {}
            try:
                for name, inside_outside in SERVICES.items():
                    try:
                        port = inside_outside[0]
                        taken[name] = _listener(f"{ADDRESSES}{number}", port)
                    except OSError:
                        if choice == 0:
                            raise
                        port = inside_outside[1]
                        taken[name] = _listener(f"{ADDRESSES}{number}", port)
                    ports[name] = port
                return number, taken, ports
            except OSError:
                for sock in taken.values():
                    sock.close()
    raise LabError("lab-failed", f"no address of {ADDRESSES}{_FIRST}-{_LAST} is free")


class Line:
    """One direction of one connection; chunks wait in it until they are due."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.free_at = 0.0  # when a throttled line will have sent all its data
        self.room = asyncio.Event()
        self.room.set()
        self._some = asyncio.Event()
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._size = 0

    def put(self, due: float, data: bytes) -> None:
        self._chunks.append((due, data))
        self._size += len(data)
        self._some.set()
        if self._size >= _WINDOW_BYTES:
            self.room.clear()

    async def get(self) -> tuple[float, bytes]:
        await self._some.wait()
        chunk = self._chunks.popleft()
        if not self._chunks:
            self._some.clear()
        return chunk

    def sent(self, data: bytes) -> None:
        self._size -= len(data)
        if self._size < _WINDOW_BYTES:
            self.room.set()


class Forwarder:
    """The listeners of one host and the connections through them."""

    def __init__(
        self, outside: dict[str, socket.socket], ports: dict[str, int], number: int, depot: str
    ) -> None:
        self.outside = outside
        self.ports = ports
        self.number = number
        self.depot = depot
        self.wire = Wire()
        self.pid = 0
        self._resume = asyncio.Event()
        self._resume.set()
        self._carried = {"to_host": 0, "from_host": 0}  # bytes, since it started
        self._pairs: dict[asyncio.Task[None], list[socket.socket]] = {}
        self._inside: list[asyncio.Task[None]] = []
        self._depots: list[asyncio.Task[None]] = []
        self._accepting: dict[str, asyncio.Task[None]] = {}

    # commands

    def command(self, message: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command: status, attach, detach, network or reset."""
        match message.get("op"):
            case "status":
                pass
            case "attach":
                self._attach(int(message["pid"]))
            case "detach":
                self._detach()
            case "reset":
                self._reset_all()
            case "network":
                self._network(message)
            case other:
                return {"error": f"unknown command {other!r}"}
        return {
            "number": self.number,
            "ports": self.ports,
            "link": self.wire.link,
            "delay_ms": self.wire.delay_ms,
            "bytes_per_second": self.wire.bytes_per_second,
            "services": self.wire.services,
            "connections": len(self._pairs),
            **self._carried,
        }

    def _attach(self, pid: int) -> None:
        """The host is up: reset the connections from before its boot, and let new ones pass."""
        self._reset_all()
        self._close_inside()
        self.pid = pid
        self._open_inside()
        self._set_link("up")

    def _detach(self) -> None:
        """The host lost its power: answer nothing, like a machine that is off."""
        self._set_link("off")
        self._close_inside()
        self.pid = 0

    def _network(self, message: dict[str, Any]) -> None:
        if "delay_ms" in message:
            self.wire.delay_ms = float(message["delay_ms"])
        if "bytes_per_second" in message:
            self.wire.bytes_per_second = float(message["bytes_per_second"])
        if "services" in message and bool(message["services"]) != self.wire.services:
            self.wire.services = bool(message["services"])
            if self.pid:
                self._close_depots()
                self._open_depots()
        if "link" in message and self.pid:  # the line to a machine that is off never answers
            self._set_link(message["link"])

    def _set_link(self, link: Link) -> None:
        self.wire.link = link
        if link == "cut":
            self._reset_all()
        silent = link in ("black-hole", "off")
        pairs = [sock for pair in self._pairs.values() for sock in pair]
        for sock in (*self.outside.values(), *pairs):
            if sock.fileno() >= 0:  # closed if the connection has just ended
                (_drop_all if silent else _drop_none)(sock)
        if silent:
            self._resume.clear()
        else:
            self._resume.set()
        self._serve_outside(listening=link != "cut")

    def _reset_all(self) -> None:
        """Cancel every connection; each resets its own sockets when nothing waits on them.

        (If they were closed here, the event loop could drop a descriptor that is in use again.)
        """
        for task in list(self._pairs):
            task.cancel()

    # listeners

    def _serve_outside(self, *, listening: bool) -> None:
        """Accept on 127.0.1.N, or refuse there; the sockets stay bound, to keep the address."""
        for name, sock in self.outside.items():
            task = self._accepting.pop(name, None)
            if listening and task is None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.listen(_BACKLOG)
                accepting = self._accept(sock, SERVICES[name][0])
                self._accepting[name] = asyncio.get_running_loop().create_task(accepting)
            elif listening and task is not None:
                self._accepting[name] = task
            elif task is not None:
                task.cancel()
                # Otherwise another lab could bind this unused address (ip(7)).
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
                sock.shutdown(socket.SHUT_RDWR)  # no longer listens; resets its backlog

    async def _accept(self, listener: socket.socket, port: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:  # e.g. out of descriptors: do not spin
                await asyncio.sleep(0.1)
            else:
                self._start(client, port)

    def _start(self, client: socket.socket, port: int) -> None:
        """Start to forward a connection from outside."""
        started = time.monotonic()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with _namespace(self.pid):
                server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        except OSError:
            reset(client)
            return
        server.setblocking(False)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        from_address = _address(client.getpeername)
        if from_address.startswith(ADDRESSES):  # another lab host: keep its address as the source
            server.bind((from_address, 0))
        if self.wire.link in ("black-hole", "off"):
            _drop_all(client)
        pair = [client, server]
        task = asyncio.get_running_loop().create_task(self._forward(pair, port, started))
        self._pairs[task] = pair
        task.add_done_callback(self._pairs.pop)

    async def _forward(self, pair: list[socket.socket], port: int, started: float) -> None:
        client, server = pair
        round_trip = self.wire.delay_ms / 1000
        try:
            # The local kernel answered the SYN at once; on a line with this delay, the host would
            # have accepted one and a half round trips later.
            if round_trip:
                await asyncio.sleep(started + 1.5 * round_trip - time.monotonic())
            await self._resume.wait()
            await asyncio.get_running_loop().sock_connect(server, ("127.0.0.1", port))
            async with asyncio.TaskGroup() as group:
                ways = (("to_host", client, server), ("from_host", server, client))
                for way, source, sink in ways:
                    line = Line(source, sink)
                    group.create_task(self._read(line, way))
                    group.create_task(self._write(line))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            for sock in pair:
                reset(sock)
        else:
            for sock in pair:
                sock.close()

    async def _read(self, line: Line, way: str) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await line.room.wait()
            data = await loop.sock_recv(line.source, _CHUNK_BYTES)
            self._carried[way] += len(data)
            due = time.monotonic() + self.wire.delay_ms / 2000
            if self.wire.bytes_per_second:
                due = max(due, line.free_at) + len(data) / self.wire.bytes_per_second
                line.free_at = due
            line.put(due, data)
            if not data:
                return

    async def _write(self, line: Line) -> None:
        """Pass on due chunks; at the end of input, shut down writing to the other side."""
        loop = asyncio.get_running_loop()
        while True:
            due, data = await line.get()
            pause = due - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            await self._resume.wait()
            if not data:
                line.sink.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(line.sink, data)
            line.sent(data)

    # the services inside the host

    def _open_inside(self) -> None:
        with _namespace(self.pid):
            peers = {
                name: _listener("0.0.0.0", port)  # noqa: S104 - there is only loopback
                for name, port in PEER_PORTS.items()
            }
        self._inside = [
            self._serve(listener, functools.partial(self._reach_peer, name))
            for name, listener in peers.items()
        ]
        self._open_depots()

    def _open_depots(self) -> None:
        if not self.wire.services:
            return
        with _namespace(self.pid):
            socks = [_listener("127.0.0.1", port) for port in (INDEX_PORT, APT_PORT)]
        self._depots = [self._serve(sock, self._reach_depot) for sock in socks]

    def _serve(self, listener: socket.socket, reach: Reach) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._accept_inside(listener, reach))

    def _close_inside(self) -> None:
        for task in self._inside:
            task.cancel()
        self._inside = []
        self._close_depots()

    def _close_depots(self) -> None:
        for task in self._depots:
            task.cancel()
        self._depots = []

    async def _accept_inside(self, listener: socket.socket, reach: Reach) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    client, _ = await loop.sock_accept(listener)
                    group.create_task(self._serve_inside(client, reach))
        finally:
            listener.close()

    async def _reach_depot(self, _client: socket.socket) -> socket.socket:
        return await _connected(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), self.depot)

    async def _reach_peer(self, service: str, client: socket.socket) -> socket.socket:
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.bind((f"{ADDRESSES}{self.number}", 0))
        # A program that holds the port holds it at every lab host's address.
        return await _connected(server, (_address(client.getsockname), self.ports[service]))

    async def _serve_inside(self, client: socket.socket, reach: Reach) -> None:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            server = await reach(client)
        except OSError:
            reset(client)
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(client, server))
                group.create_task(self._copy(server, client))
        except (OSError, ExceptionGroup):
            reset(client)
        finally:
            client.close()
            server.close()

    async def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, _CHUNK_BYTES):
            await loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)

    # control

    async def serve(self, control: Path) -> None:
        """Answer commands until the process is killed."""
        control.unlink(missing_ok=True)
        self._set_link("off")
        server = await asyncio.start_unix_server(self._answer, path=control)
        control.chmod(0o600)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                try:
                    answer = self.command(json.loads(line))
                except (OSError, ValueError, KeyError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()


def main(text: str) -> None:
    """Serve one host until killed; `text` is JSON: number (preferred), control, depot."""
    config = json.loads(text)
    os.chdir("/")  # keep no folder busy
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    number, outside, ports = claim(int(config["number"]))
    forwarder = Forwarder(outside, ports, number, config["depot"])

    async def run() -> None:
        await forwarder.serve(Path(config["control"]))

    asyncio.run(run())
