"""Serve requests on the channel until it ends, contact is lost, or it is cancelled.

Threads: the main thread runs one operation at a time; one reads the channel, so
that an operation never delays a sign of life or a cancellation; one writes it, so
that a stalled or dead operator never delays an operation; one watches the lease.

Contact is lost at end of input, after `lease_seconds` without a byte, on a cancel frame, and on
SIGTERM, SIGINT or SIGHUP. The running operation notices at its next poll and may go on; then the
functions of `at_end` run, last first, and the process ends.
"""

from __future__ import annotations

import collections
import contextlib
import io
import os
import queue
import signal
import tempfile
import threading
import traceback
from typing import IO, Any, Callable, Deque, Dict, List, Optional, Set

from cartwheel.host.system import children
from cartwheel.host.system.context import (
    ContactLost,
    Context,
    OpError,
    boot_id,
    boottime,
    disk_full,
    no_room,
    scratch_prefix,
)
from cartwheel.host.wire import framing
from cartwheel.host.wire.codec import from_message, to_json
from cartwheel.host.wire.messages import Header, Json, Table, Told
from cartwheel.host.wire.request import About, Hello, Who

DEFAULT_LEASE_SECONDS = 15.0
DEFAULT_DEADLINE_SECONDS = 60.0
# Above this backlog, an operation that sends faster than the channel waits.
BACKLOG_BYTES = 4 << 20
FLUSH_SECONDS = 5.0
READ_BYTES = 256 << 10
# Blobs can be large, and /tmp is often memory.
SPOOL_FOLDERS = ("/var/tmp", None)


class Outbox:
    """Frames on their way to the operator. `put` never fails and never outlasts the lease."""

    def __init__(self, fd: int, lost: threading.Event) -> None:
        self._fd = fd
        self._lost = lost
        self._frames: Deque[bytes] = collections.deque()
        self._size = 0
        self._changed = threading.Condition()
        self._broken = False
        threading.Thread(target=self._write, name="writer", daemon=True).start()

    def put(
        self, header: Header, body: bytes = b"", must: bool = False, patient: bool = True
    ) -> None:
        """Queue a frame. When the backlog is full, a `patient` caller waits until contact
        is lost; then the frame is dropped, unless it `must` be kept."""
        data = framing.pack(header, body)
        with self._changed:
            while (
                patient and self._size > BACKLOG_BYTES and not (self._broken or self._lost.is_set())
            ):
                self._changed.wait(0.2)
            if self._broken or (self._size > BACKLOG_BYTES and not must):
                return
            self._frames.append(data)
            self._size += len(data)
            self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        """Wait until everything is written, but not longer than this."""
        end = boottime() + seconds
        with self._changed:
            while self._size and not self._broken and boottime() < end:
                self._changed.wait(0.1)

    def _write(self) -> None:
        try:
            while True:
                with self._changed:
                    while not self._frames:
                        self._changed.wait()
                    data = self._frames.popleft()
                framing.write_all(self._fd, data)
                with self._changed:
                    self._size -= len(data)
                    self._changed.notify_all()
        except OSError:  # the channel is gone
            with self._changed:
                self._broken = True
                self._frames.clear()
                self._changed.notify_all()


class Spool:
    """A request's payload in an unlinked private file; a full disk spoils only this request."""

    def __init__(self) -> None:
        self.error: Optional[OSError] = None
        self.file: Optional[IO[bytes]] = None
        self._folder = ""
        for folder in SPOOL_FOLDERS:
            self._folder = folder or tempfile.gettempdir()
            try:
                name = scratch_prefix("spool")  # where the file system wants a name at all
                # `close` closes it.
                self.file = tempfile.TemporaryFile(prefix=name, dir=folder)  # noqa: SIM115 - above
                self.error = None
                break
            except OSError as error:
                self.error = error

    def add(self, data: bytes) -> None:
        if self.error is None and self.file is not None:
            try:
                self.file.write(data)
            except OSError as error:
                self.error = error

    def finish(self) -> None:
        """Rewind. Raises OpError if the bytes could not be kept."""
        if self.error is None and self.file is not None:
            try:
                self.file.seek(0)  # also flushes
            except OSError as error:
                self.error = error
        if self.error is not None and disk_full(self.error):
            raise no_room("the upload", tempfile.gettempdir())
        if self.error is not None:
            why = f"the upload cannot be kept in {self._folder}: {self.error.strerror}"
            raise OpError("disk-full", why)

    def close(self) -> None:
        if self.file is not None:
            with contextlib.suppress(OSError):  # a full disk may still refuse buffered bytes
                self.file.close()


class Request:
    def __init__(self, header: Header) -> None:
        self.id = int(header["id"])
        self.op = str(header["op"])
        self.args = header.get("args") or {}
        self.group: Optional[str] = header.get("group")
        self.deadline_seconds = float(header.get("deadline_seconds") or DEFAULT_DEADLINE_SECONDS)
        self.spool: Optional[Spool] = None


class Server:
    """The state of one session; `serve` is its life."""

    def __init__(self, source: io.BufferedReader, out_fd: int) -> None:
        self.lost = threading.Event()
        self._source = source
        self._outbox = Outbox(out_fd, self.lost)
        self._requests: "queue.SimpleQueue[Optional[Request]]" = queue.SimpleQueue()
        self._signals_fd = _signal_pipe()
        self._receiving: Dict[int, Request] = {}
        self._heard = boottime()
        self._lease_seconds = DEFAULT_LEASE_SECONDS
        self._about = About("", "", "", "")
        self._memory: Dict[str, Any] = {}  # see Context
        self._at_end: List[Callable[[], None]] = []
        self._failed_groups: Set[str] = set()
        self._ended = threading.Event()

    def serve(self) -> None:
        """Run requests in order until contact is lost, then run `at_end`."""
        for target in (self._read, self._watch, self._obey):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()
        while not self.lost.is_set():
            request = self._requests.get()
            if request is None:
                break
            self._perform(request)
        self.lost.set()
        self._end()
        self._outbox.flush(FLUSH_SECONDS)

    def lose(self) -> None:
        """Contact is lost: wake everyone who waits for it."""
        self.lost.set()
        self._requests.put(None)

    def noise(self, data: bytes) -> None:
        """Report text that a library or a child wrote to the original standard streams."""
        if not self.lost.is_set():
            self._outbox.put({"t": "noise"}, data[: framing.BODY_LIMIT_BYTES])

    # -- one request

    def _perform(self, request: Request) -> None:
        try:
            answer = self._answer(request)
            if answer["t"] == "error" and request.group is not None:
                self._failed_groups.add(request.group)
            self._outbox.put(answer, must=True)
        except (TypeError, ValueError, framing.FrameError) as error:
            problem = f"{request.op} gave an answer that cannot be sent: {error}"
            self._outbox.put(_error(request.id, "host-side", problem), must=True)
        finally:
            if request.spool is not None:
                request.spool.close()

    def _answer(self, request: Request) -> Header:
        if request.group is not None and request.group in self._failed_groups:
            return {"t": "error", "id": request.id, "skipped": True}
        self._outbox.put({"t": "start", "id": request.id})
        try:
            value = _perform(request.op, self._context(request), request.args)
            return {"t": "result", "id": request.id, "value": value}
        except OpError as error:
            return _error(request.id, error.slug, error.message, error.hint, error.log)
        except ContactLost:
            answer = _error(request.id, "ssh-lost", "stopped on request")
            answer["lost"] = True
            return answer
        except BaseException as error:  # also SystemExit: nothing may end the session silently
            line = "".join(traceback.format_exception_only(type(error), error)).strip()
            problem = f"{request.op} failed unexpectedly: {line.splitlines()[-1]}"
            return _error(request.id, "host-side", problem, log=traceback.format_exc())

    def _context(self, request: Request) -> Context:
        spool = request.spool
        if spool is not None:
            spool.finish()

        def send(told: Told) -> None:
            try:
                self._outbox.put({"t": "event", "id": request.id, "event": told})
            except (TypeError, ValueError, framing.FrameError) as error:
                self.noise(f"an event that cannot be sent: {error}\n".encode())

        return Context(
            about=self._about,
            send=send,
            lost=self.lost,
            deadline=boottime() + request.deadline_seconds,
            memory=self._memory,
            at_end=self._at_end,
            blob=spool.file if spool is not None else None,
        )

    def _end(self) -> None:
        while self._at_end:
            function = self._at_end.pop()
            try:
                function()
            except BaseException:
                _complain(traceback.format_exc())
        self._ended.set()

    # -- threads

    def _read(self) -> None:
        decoder = framing.Decoder()
        try:
            while True:
                data = self._source.read1(READ_BYTES)
                if not data:
                    break
                self._heard = boottime()
                for frame in decoder.feed(data):
                    self._take(frame)
        except OSError:  # counts as end of input
            pass
        except Exception:
            _complain(traceback.format_exc())
        self.lose()

    def _take(self, frame: framing.Frame) -> None:
        header, kind = frame.header, frame.header["t"]
        if kind == "request":
            request = Request(header)
            if header.get("blob"):
                request.spool = Spool()
                self._receiving[request.id] = request
            else:
                self._requests.put(request)
        elif kind == "blob":
            spool = self._receiving[header["id"]].spool
            if spool is not None:
                spool.add(frame.body)
        elif kind == "blob-end":
            self._requests.put(self._receiving.pop(header["id"]))
        elif kind == "config":
            self._lease_seconds = float(header["lease_seconds"])
            self._about = from_message(About, header["about"])
        elif kind == "cancel":
            self.lose()
        elif kind != "beat":
            raise framing.FrameError(f"a frame of unknown kind: {kind}")

    def _obey(self) -> None:
        os.read(self._signals_fd, 1)
        self.lose()

    def _watch(self) -> None:
        """Send signs of life, and notice when the operator's stop.

        It goes on while `at_end` runs: a cancelling operator waits for that.
        """
        next_alive = boottime()
        while not self._ended.wait(min(0.5, self._lease_seconds / 4)):
            if not self.lost.is_set() and boottime() - self._heard > self._lease_seconds:
                self.lose()
            if boottime() >= next_alive:
                self._outbox.put({"t": "alive"}, patient=False)
                next_alive = boottime() + framing.BEAT_SECONDS


def main(source: io.BufferedReader, out_fd: int) -> int:
    """Serve one session: frames come from `source` and go to `out_fd`.

    Standard input, output and error are no longer the channel's: a print or a
    child can neither corrupt frames nor block on a channel that nobody reads.
    """
    global _stderr_fd  # noqa: PLW0603 - where a dying process can still complain
    _stderr_fd = os.dup(2)
    os.set_blocking(_stderr_fd, False)
    server = Server(source, out_fd)
    children.forget_login()
    os.umask(0o022)
    _catch_noise(server.noise)
    try:
        server.serve()
        return 0
    except BaseException:
        _complain(traceback.format_exc())
        return 1


_stderr_fd = 2


def hello(ctx: Context, request: Hello) -> Who:
    """Answer with the session's user and process; it costs only the round trip."""
    return Who(os.geteuid(), os.getpid(), boot_id())


def _perform(name: str, ctx: Context, asked: Table) -> Json:
    """Import the operations at the first use, so that the session answers sooner."""
    if name == "hello":
        answer: Json = to_json(hello(ctx, Hello()))
        return answer
    from cartwheel.host.session import operations

    return operations.perform(name, ctx, asked)


def _error(request_id: int, slug: str, message: str, hint: str = "", log: str = "") -> Header:
    said: Header = {"slug": slug, "message": message, "hint": hint, "log": log}
    return {"t": "error", "id": request_id, **said}


def _signal_pipe() -> int:
    """A file descriptor that gets a byte with each signal that asks this process to end.

    A handler in Python would run in the main thread: late, when it waits and the
    kernel gave the signal to another thread, and perhaps inside a lock.
    """
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    return read_fd


def _catch_noise(tell: Callable[[bytes], None]) -> None:
    """Point file descriptors 0, 1 and 2 away from the channel; pass on what is written."""
    read_fd, write_fd = os.pipe()
    null_fd = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null_fd, 0)
    os.dup2(write_fd, 1)
    os.dup2(write_fd, 2)
    os.close(null_fd)
    os.close(write_fd)

    def pump() -> None:
        while True:
            data = os.read(read_fd, 65536)
            if not data:
                return
            tell(data)

    threading.Thread(target=pump, name="noise", daemon=True).start()


def _complain(text: str) -> None:
    """Write a last message to the process's original standard error."""
    with contextlib.suppress(OSError):
        os.write(_stderr_fd, text.encode("utf-8", "replace"))
