"""Stands between the operator's side and a lab host's side, and strikes at one point.

`Harness` listens on the host for `tap`, which replaces python3 there. It passes on the session's
messages one by one, and every file change waits for its answer. It records and strikes the first
session that changes the host; all other sessions (a `fab status` at the same time, the next deploy)
run untouched.
"""

from __future__ import annotations

import array
import os
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cartwheel.errors import LabError
from cartwheel.host.wire import framing
from cartwheel.host.wire.messages import Header
from cartwheel.ssh.startup import find_hello
from cartwheel_lab import Lab, LabHost
from cartwheel_lab.faults import syscalls, tap
from cartwheel_lab.faults.points import Counting, Direction, Point, call_label, message_label
from cartwheel_lab.faults.syscalls import Call

TAP = "/opt/lab-faults/python3"
_READ_BYTES = 1 << 16
_ACCEPT_SECONDS = 0.2
_END_SECONDS = 10.0


@dataclass(frozen=True)
class Verdict:
    """What happens to the message or call that waits at the point. `drop` is for messages: nothing
    passes any more, in either direction. `error` is a call's errno; an execve instead runs the
    program `replace`, if there is one."""

    drop: bool = False
    error: int = 0
    replace: str = ""


PASS = Verdict()

# Whether to strike here. Arguments: the point, and its number among its direction's messages or
# among all calls, from 1.
Where = Callable[[Point, int], bool]
# Called while the message or call at the point waits; it may kill the session.
Strike = Callable[["Session"], Verdict]
# Called for every call that waits, before it continues, to read the files in their current state.
Witness = Callable[[Call], None]


@dataclass
class Session:
    """The host side of one run, seen from outside. `pid` is the pid on this machine."""

    pid: int
    points: list[Point] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def kill(self) -> None:
        """Send SIGKILL to its main process; its unit ends the rest."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, 9)


class Harness:
    """Use `on(host)`. It only records until `aim` is called."""

    def __init__(self, host: LabHost, witness: Witness | None = None) -> None:
        self.host = host
        self.struck = threading.Event()
        self.struck_at = 0.0  # time.monotonic()
        self.session: Session | None = None
        self.problems: list[BaseException] = []
        self._where: Where = lambda _point, _number: False
        self._strike: Strike = lambda _session: PASS
        self._numbers: Counter[str] = Counter()
        self._witness = witness
        self._counting = Counting()
        self._guard = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def aim(self, where: Where, strike: Strike) -> None:
        """Strike once, at the first point for which `where` is true. Call it before the session
        gets there."""
        with self._guard:
            self._where, self._strike = where, strike

    def open(self) -> None:
        """Listen for the tap on the host."""
        path = self.host.path(tap.SOCKET)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.unlink(missing_ok=True)
        self._socket.bind(str(path))
        self._socket.listen(8)
        self._socket.settimeout(_ACCEPT_SECONDS)
        self._spawn(self._accept)

    def close(self) -> None:
        """Stop listening; programs on the host continue without the harness."""
        self._over.set()
        self._socket.close()
        for thread in self._threads:
            thread.join(_END_SECONDS)
        with suppress(LabError, OSError):  # the host may be off
            self.host.path(tap.SOCKET).unlink()

    def _spawn(self, work: Callable[..., None], *args: object) -> None:
        def watched() -> None:
            try:
                work(*args)
            except BaseException as error:  # `on` raises it
                self.problems.append(error)

        thread = threading.Thread(target=watched, daemon=True)
        self._threads.append(thread)
        thread.start()

    # -- one session

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                line, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:  # closed
                return
            self._spawn(self._serve, line)

    def _serve(self, line: socket.socket) -> None:
        with line:
            line.settimeout(_END_SECONDS)
            pid = _peer(line)
            login_in, login_out, to_child, from_child = _descriptors(line, 4)
            session = Session(pid)
            if self.session is None and _changes_the_host(pid):
                self.session = session
            line.sendall(syscalls.program())
            (listener,) = _descriptors(line, 1)
            relay = _Relay(self, session)
            self._spawn(self._answer_calls, listener, session)
            line.sendall(b"g")
        self._spawn(relay.to_host, login_in, to_child)
        self._spawn(relay.to_operator, from_child, login_out)

    def _answer_calls(self, listener: int, session: Session) -> None:
        try:
            for call in syscalls.notifications(listener):
                verdict = self._judge_call(call, session)
                replaced = call.kind == "execve" and syscalls.replace_program(call, verdict.replace)
                syscalls.answer(listener, call, 0 if replaced else verdict.error)
        finally:
            os.close(listener)

    def _judge_call(self, call: Call, session: Session) -> Verdict:
        if session is not self.session or not self._is_there(call):
            return PASS
        if self._witness is not None:
            self._witness(call)
        return self.at(call.kind, call_label(call), session)

    def _is_there(self, call: Call) -> bool:
        """False for a call that changes nothing because the name does not exist: a search for a
        program along PATH, or the removal of a file that may be missing."""
        if call.kind not in ("execve", "unlink", "rmdir"):
            return True
        return os.path.lexists(f"/proc/{call.pid}/root{call.paths[0]}")

    def at(self, kind: str, label: str, session: Session) -> Verdict:
        """Count this message or call before it takes effect; strike if it is the chosen point."""
        with self._guard:
            point = self._counting.point(kind, label)
            session.points.append(point)
            self._numbers[point.stream] += 1
            mine = not self.struck.is_set() and self._where(point, self._numbers[point.stream])
            if mine:
                self.struck_at = time.monotonic()
                self.struck.set()
        return self._strike(session) if mine else PASS

    def is_watched(self, session: Session) -> bool:
        return session is self.session


class _Relay:
    """Both directions of one session's channel, frame by frame."""

    def __init__(self, harness: Harness, session: Session) -> None:
        self._harness = harness
        self._session = session
        self._operations: dict[int, str] = {}
        self._dropping = threading.Event()

    def to_host(self, source: int, sink: int) -> None:
        bundle, decoder = zlib.decompressobj(), framing.Decoder()

        def pieces(data: bytes) -> Iterator[tuple[bytes, Header]]:
            if not bundle.eof:
                bundle.decompress(data)
                rest = bundle.unused_data
                yield data[: len(data) - len(rest)], {"t": "host side"} if bundle.eof else {}
                data = rest
            for frame in decoder.feed(data):
                if frame.header["t"] == "request":
                    self._operations[frame.header["id"]] = frame.header["op"]
                yield framing.pack(frame.header, frame.body), frame.header

        self._pump(source, sink, "to the host", pieces)

    def to_operator(self, source: int, sink: int) -> None:
        greeting, decoder = bytearray(), framing.Decoder()
        greeted = False

        def pieces(data: bytes) -> Iterator[tuple[bytes, Header]]:
            nonlocal greeted
            if not greeted:
                greeting.extend(data)
                hello = find_hello(greeting)
                if hello is None:
                    return
                greeted = True
                yield bytes(greeting[: hello.end]), {"t": "greeting"}
                data = bytes(greeting[hello.end :])
            for frame in decoder.feed(data):
                yield framing.pack(frame.header, frame.body), frame.header

        try:
            self._pump(source, sink, "to the operator", pieces)
        finally:
            self._session.ended.set()

    def _pump(
        self,
        source: int,
        sink: int,
        direction: Direction,
        pieces: Callable[[bytes], Iterator[tuple[bytes, Header]]],
    ) -> None:
        try:
            while data := os.read(source, _READ_BYTES):
                for raw, header in pieces(data):
                    if self._passes(direction, header):
                        _write(sink, raw)
        except OSError:  # one side has closed
            pass
        finally:
            os.close(sink)
            os.close(source)

    def _passes(self, direction: Direction, header: Header) -> bool:
        label = message_label(direction, header, self._operations) if header else None
        if label is not None and self._harness.is_watched(self._session):
            verdict = self._harness.at("message", label, self._session)
            if verdict.drop:
                self._dropping.set()
        return not self._dropping.is_set()


def install(host: LabHost) -> None:
    """Let the host's sessions pass through the tap. It stays installed, even after a power cut;
    without a harness it behaves like python3."""
    program = host.path(TAP)
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/usr/bin/python3 -I\n" + Path(tap.__file__).read_text("utf-8"), "utf-8")
    program.chmod(0o755)
    Lab(host.lab).interpreter(host.name, TAP)


def uninstall(host: LabHost) -> None:
    """Let the host's sessions run without the tap again."""
    Lab(host.lab).interpreter(host.name, "")
    host.path(TAP).unlink(missing_ok=True)


@contextmanager
def on(host: LabHost, witness: Witness | None = None) -> Iterator[Harness]:
    """Run the harness on `host`, which has the tap (see `install`), during the block. Raises
    LabError if this machine does not support it, or the error that occurred in it."""
    require()
    harness = Harness(host, witness)
    harness.open()
    try:
        yield harness
    finally:
        harness.close()
    if harness.problems:
        raise harness.problems[0]


def require() -> None:
    """Raise LabError if this machine cannot make system calls wait."""
    if os.uname().machine != "x86_64":
        raise LabError("lab-platform", "the fault harness knows only x86_64's system calls")


def _write(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]


def _peer(line: socket.socket) -> int:
    """SO_PEERCRED (unix(7)): pid, uid, gid, as numbered on this machine."""
    data = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(data[:4], "little")


def _descriptors(line: socket.socket, count: int) -> list[int]:
    _, given, _, _ = line.recvmsg(1, socket.CMSG_SPACE(4 * count))
    fds = array.array("i")
    for _, _, data in given:
        fds.frombytes(data)
    if len(fds) != count:
        raise LabError("lab-failed", "the tap on the host sent no descriptors")
    return list(fds)


def _changes_the_host(pid: int) -> bool:
    """Whether the session runs as the transient unit of a changing command."""
    return "cartwheel-session-" in Path(f"/proc/{pid}/cgroup").read_text()
