"""The wire between this machine and one lab host, and the faults in it.

A process of its own (`main`), one per host. It
listens on 127.0.1.N and connects inside the host's network namespace; the other way
round it listens inside the namespace and connects to the package depot. A line of JSON
on its control socket changes what it does (see `command`).

A black hole is real: a socket filter that drops every segment before TCP sees it, so
nothing is acknowledged and both ends notice as slowly as they do on a dead line.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cartwheel.errors import LabError

ADDRESSES = "127.0.1."
SERVICES = {"ssh": (22, 2022), "http": (80, 8080), "https": (443, 8443)}
"""Port inside the host, and the one outside where something else here holds that port everywhere."""

INDEX_PORT, APT_PORT = 3141, 3142

_CLONE_NEWNET = 0x40000000
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_CHUNK_BYTES = 65536
_WINDOW_BYTES = 1 << 20  # per direction: what may be on the wire at once
_BACKLOG = 512
_libc = ctypes.CDLL(None, use_errno=True)

Link = Literal["up", "cut", "black-hole", "off"]


@dataclass
class Wire:
    """What the line does: `delay_ms` is a round trip's, `bytes_per_second` each direction's (0: no limit)."""

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
    """Make sockets in the network namespace of `pid`: they stay there when we come back."""
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
    """Attach the BPF program `ret #0`: the kernel drops what arrives, unacknowledged."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    filter_ = struct.pack("HxxxxxxP", 1, ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)


def _drop_none(sock: socket.socket) -> None:
    with suppress(OSError):  # ENOENT: there was no filter
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


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
    """Take a free address: binding it is the machine-wide lock, and the kernel gives it back.

    Where another program holds port 22, 80 or 443 on every address, a second choice of
    port is taken. Raises LabError when all 254 addresses are in use.
    """
    order = [preferred] if preferred else []
    order += [n for n in range(1, 255) if n != preferred]
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
    raise LabError("lab-failed", "no address of 127.0.1.1-254 is free for a lab host")


@dataclass(eq=False)
class Line:
    """One direction of one connection: chunks wait here until they are due."""

    source: socket.socket
    sink: socket.socket
    chunks: deque[tuple[float, bytes]] = field(default_factory=deque)
    size: int = 0
    free_at: float = 0.0


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
        self._pairs: dict[asyncio.Task[None], list[socket.socket]] = {}
        self._inside: list[tuple[asyncio.Task[None], socket.socket]] = []
        self._accepting: dict[str, asyncio.Task[None]] = {}

    # what a command may ask

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
        }

    def _attach(self, pid: int) -> None:
        """The host is up: what was under way before its boot is reset, new connections pass."""
        self._reset_all()
        self._close_inside()
        self.pid = pid
        self._open_inside()
        self._set_link("up")

    def _detach(self) -> None:
        """The host lost its power: silence, as from a machine that is off."""
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
                self._close_inside()
                self._open_inside()
        if "link" in message:
            self._set_link(message["link"])

    def _set_link(self, link: Link) -> None:
        self.wire.link = link
        if link == "cut":
            self._reset_all()
        silent = link in ("black-hole", "off")
        for sock in self._all_sockets():
            if sock.fileno() >= 0:
                (_drop_all if silent else _drop_none)(sock)
        if silent:
            self._resume.clear()
        else:
            self._resume.set()
        self._serve_outside(listening=link != "cut")

    def _all_sockets(self) -> list[socket.socket]:
        pairs = [sock for pair in self._pairs.values() for sock in pair]
        return [*self.outside.values(), *pairs]

    def _reset_all(self) -> None:
        for task, pair in list(self._pairs.items()):
            task.cancel()
            for sock in pair:
                _drop_none(sock) if sock.fileno() >= 0 else None
                reset(sock)
        self._pairs.clear()

    # listeners

    def _serve_outside(self, *, listening: bool) -> None:
        """Accept on 127.0.1.N, or stop listening there (and keep the address bound)."""
        for name, port in self.ports.items():
            task = self._accepting.pop(name, None)
            if not listening:
                if task:
                    task.cancel()
                # A bound socket that does not listen refuses, and keeps others off the port.
                self.outside[name].close()
                self.outside[name] = _bound(f"{ADDRESSES}{self.number}", port)
                continue
            sock = self.outside[name]
            if task is None or task.done():
                with suppress(OSError):
                    sock.listen(_BACKLOG)
                task = asyncio.get_running_loop().create_task(self._accept(sock, SERVICES[name][0]))
            self._accepting[name] = task

    async def _accept(self, listener: socket.socket, port: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:
                if listener.fileno() < 0:
                    return
                await asyncio.sleep(0.1)  # out of descriptors, say: do not spin
                continue
            self._start(client, port)

    def _start(self, client: socket.socket, port: int) -> None:
        """Begin to forward a connection that came in from outside."""
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
        if self.wire.link in ("black-hole", "off"):
            _drop_all(client)
        pair = [client, server]
        task = asyncio.get_running_loop().create_task(self._forward(pair, port, started))
        self._pairs[task] = pair
        task.add_done_callback(lambda done: self._pairs.pop(done, None))

    async def _forward(self, pair: list[socket.socket], port: int, started: float) -> None:
        client, server = pair
        round_trip = self.wire.delay_ms / 1000
        try:
            # The kernel here answered the SYN at once; over a line of this length the
            # host would have accepted one and a half round trips later.
            if round_trip:
                await asyncio.sleep(started + 1.5 * round_trip - time.monotonic())
            await self._resume.wait()
            await asyncio.get_running_loop().sock_connect(server, ("127.0.0.1", port))
            if self.wire.link in ("black-hole", "off"):
                _drop_all(server)
            await self._both_ways(client, server)
        except OSError:
            pass
        finally:
            for sock in pair:
                if sock.fileno() >= 0:
                    reset(sock)

    async def _both_ways(self, client: socket.socket, server: socket.socket) -> None:
        tasks = [
            asyncio.create_task(self._pump(Line(client, server))),
            asyncio.create_task(self._pump(Line(server, client))),
        ]
        try:
            await asyncio.gather(*tasks)
        except OSError:
            raise
        else:
            client.close()
            server.close()
        finally:
            for task in tasks:
                task.cancel()

    async def _pump(self, line: Line) -> None:
        """Move one direction until its end of input, then shut the other side's writing."""
        room, some = asyncio.Event(), asyncio.Event()
        room.set()
        reader = asyncio.create_task(self._read(line, room, some))
        try:
            await self._write(line, room, some)
            await reader
        finally:
            reader.cancel()
        with suppress(OSError):
            line.sink.shutdown(socket.SHUT_WR)

    async def _read(self, line: Line, room: asyncio.Event, some: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await room.wait()
                data = await loop.sock_recv(line.source, _CHUNK_BYTES)
                due = time.monotonic() + self.wire.delay_ms / 2000
                if self.wire.bytes_per_second:
                    due = max(due, line.free_at) + len(data) / self.wire.bytes_per_second
                    line.free_at = due
                line.chunks.append((due, data))
                line.size += len(data)
                some.set()
                if not data:
                    return
                if line.size >= _WINDOW_BYTES:
                    room.clear()
        except OSError:
            line.chunks.append((0.0, b"\0RST"))
            some.set()
            raise

    async def _write(self, line: Line, room: asyncio.Event, some: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await some.wait()
            due, data = line.chunks.popleft()
            if due == 0.0:
                raise ConnectionResetError
            if not line.chunks:
                some.clear()
            pause = due - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            await self._resume.wait()
            if not data:
                return
            await loop.sock_sendall(line.sink, data)
            line.size -= len(data)
            if line.size < _WINDOW_BYTES:
                room.set()

    # the services inside the host

    def _open_inside(self) -> None:
        if not self.wire.services:
            return
        loop = asyncio.get_running_loop()
        with _namespace(self.pid):
            socks = [_listener("127.0.0.1", port) for port in (INDEX_PORT, APT_PORT)]
        self._inside = [(loop.create_task(self._accept_inside(sock)), sock) for sock in socks]

    def _close_inside(self) -> None:
        for task, sock in self._inside:
            task.cancel()
            sock.close()
        self._inside = []

    async def _accept_inside(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._serve_inside(client))
            self._services.add(task)
            task.add_done_callback(self._services.discard)

    _services: set[asyncio.Task[None]] = set()  # noqa: RUF012 - replaced in __init__ of a run

    async def _serve_inside(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(server, self.depot)
            tasks = [self._copy(client, server), self._copy(server, client)]
            await asyncio.gather(*tasks)
        except OSError:
            reset(client)
        finally:
            client.close()
            server.close()

    async def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, _CHUNK_BYTES):
            await loop.sock_sendall(sink, data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    # control

    async def serve(self, control: Path) -> None:
        """Answer commands until the process is killed."""
        control.unlink(missing_ok=True)
        self._services = set()
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


def _bound(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.setblocking(False)
    return sock


def main(text: str) -> None:
    """Serve one host until killed; `text` is JSON: number (preferred), control, depot."""
    config = json.loads(text)
    number, outside, ports = claim(int(config["number"]))
    forwarder = Forwarder(outside, ports, number, config["depot"])

    async def run() -> None:
        await forwarder.serve(Path(config["control"]))

    asyncio.run(run())
