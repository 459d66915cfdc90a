"""One session with one host: typed requests over one channel.

Threads: one receives and one sends, so that the caller can always be interrupted, signs of life
are sent during an upload, and a silent host is noticed.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import secrets
import select
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import paramiko

from cartwheel.errors import CATALOGUE, CartwheelError, ConnectError, HostError
from cartwheel.host.system.transfer import Transfer
from cartwheel.host.wire import framing
from cartwheel.host.wire.codec import WireError, to_json
from cartwheel.host.wire.messages import Header, Json, Told
from cartwheel.host.wire.request import About, Request, answer_of
from cartwheel.ssh import startup
from cartwheel.ssh.bundle import OLDEST_PYTHON, Bundle, host_bundle
from cartwheel.ssh.connection import (
    CHANNEL_TIMEOUT_SECONDS,
    Gateways,
    StrictConnection,
    failures,
)
from cartwheel.ssh.known_hosts import HostKey
from cartwheel.ssh.startup import UnitSpec
from cartwheel.ssh.target import Target
from cartwheel.ssh.uplink import Turn, Uplink

# The host sends a sign of life every wire.BEAT_SECONDS.
SILENCE_SECONDS = 10.0
START_SECONDS = 30.0
# The host ends an operation at its deadline; we end it this much later.
DEADLINE_GRACE_SECONDS = 15.0
END_SECONDS = 30.0
# The host begins a request as soon as it is complete: if it takes longer, it is stuck.
BEGIN_SECONDS = 60.0
SLOWEST_BYTES_PER_SECOND = 4096  # a slower connection counts as stuck too
_TELL_SECONDS = 5.0
_POLL_SECONDS = 0.5
_STATUS_SECONDS = 2.0
_WAIT_SLICE_SECONDS = 0.5  # deadlines are checked between slices; answers wake at once
_READ_BYTES = 1 << 18
_STDERR_TAIL_BYTES = 64 << 10

Frames = Generator[bytes, None, None]
OnEvent = Callable[[Told], None]
Blob = Path | bytes
A = TypeVar("A")
NOTHING = About("", "", "", "")


class SkippedError(HostError):
    """The request was not tried, because an earlier one of its group failed: see that one."""


@dataclass(eq=False)
class Pending(Generic[A]):
    """A request on its way. `result` waits for its answer."""

    _session: Session
    _id: int
    _asked: type[Request[A]]
    _deadline_seconds: float
    _on_event: OnEvent | None
    _flight: int
    _blob_bytes: int
    _answer: Header | None = None
    _broken_listener: Exception | None = None
    _started_at: float | None = None
    # Since then only the host delays it.
    _ready_at: float = field(default_factory=time.monotonic)

    @property
    def op(self) -> str:
        return self._asked.op

    def result(self) -> A:
        """The operation's answer. Ctrl-C gets through; then call `session.cancel`.

        Raises HostError with the host's slug and log, SkippedError, ConnectError, or
        CartwheelError `deadline`.
        """
        self._session._await(self)
        if self._broken_listener is not None:
            raise self._broken_listener
        answer = self._answer or {}
        if answer["t"] == "result":
            return self._decoded(answer["value"])
        raise self._error(answer)

    def _decoded(self, value: Json) -> A:
        try:
            return answer_of(self._asked, value)
        except WireError as error:
            raise HostError("host-side", f"{self.op}: {error}", host=self._session.host) from None

    def _error(self, answer: Header) -> CartwheelError:
        host = self._session.host
        if answer.get("skipped"):
            return SkippedError(
                "host-side", f"{self.op} was skipped: an earlier step failed", host=host
            )
        slug = answer["slug"] if answer["slug"] in CATALOGUE else "host-side"
        kind = ConnectError if answer.get("lost") else HostError
        return kind(slug, answer["message"], host=host, hint=answer["hint"], detail=answer["log"])


class Session:
    """Make one with `open_session`; it is a context manager, and safe for threads.

    `round_trips` counts how often the operator's side has waited for the host since the SSH
    handshake (promise P14): once for opening the channel, once for each answered password
    prompt, once for the greeting (nothing is sent before it, because the login may start
    something else than our host side), once for the end, and once for each flight of requests.
    A request starts a new flight if the answer to one of the current flight was taken before it
    was submitted; so pipelined requests count once, however long they run, and a request that
    waits for an answer first counts again. Events, heartbeats and acknowledgements of blobs do
    not count.
    """

    def __init__(
        self,
        connection: StrictConnection,
        *,
        unit: UnitSpec | None,
        bundle: Bundle | None,
        uplink: Uplink | None,
        about: About,
    ) -> None:
        self.target = connection.target
        self._about = about
        self.host = connection.target.name
        self.python = ""
        self.round_trips = 0
        self._connection = connection
        self._bundle = bundle or host_bundle()
        self._prompt = f"[cartwheel {secrets.token_hex(16)}]"
        self._sudo = startup.sudo_words(self.target, self._prompt)
        self._unit = unit
        self._uplink = uplink or Uplink(1)
        self._turn: Turn | None = None
        self._changed = threading.Condition()
        self._pending: dict[int, Pending[Any]] = {}  # their answers are of many kinds
        self._ids = itertools.count(1)
        self._flight = 0
        self._flight_answered = True
        self._error: CartwheelError | None = None
        self._ending = False
        self._cancelled = False
        self._ended = False
        self._may_send = threading.Event()  # greeted, or nothing is left to send
        self._printed = bytearray()  # standard output before the greeting
        self._outgoing: collections.deque[Frames] = collections.deque()
        self._stderr = bytearray()
        self._asking = startup.prompt_pattern(self._prompt)
        self._prompts = 0
        self._heard = self._turned_at = time.monotonic()
        self._channel = self._open_channel()
        self._start()

    # -- for callers

    @property
    def host_key(self) -> str:
        """The fingerprint (SHA-256) of the host's key."""
        return HostKey.of(self._connection.transport.get_remote_server_key()).fingerprint

    def request(
        self,
        asked: Request[A],
        *,
        blob: Blob | None = None,
        deadline_seconds: float = 60.0,
        on_event: OnEvent | None = None,
    ) -> A:
        """Send a request and wait for its answer: `submit` and `result` in one."""
        return self.submit(
            asked, blob=blob, deadline_seconds=deadline_seconds, on_event=on_event
        ).result()

    def submit(
        self,
        asked: Request[A],
        *,
        blob: Blob | None = None,
        deadline_seconds: float = 60.0,
        on_event: OnEvent | None = None,
        group: str | None = None,
    ) -> Pending[A]:
        """Send a request without waiting; the host works in the order of submission.

        After a request of a `group` failed, later ones of the group are skipped. `on_event` is
        called from the receiving thread: be quick, and do not call the session.
        `deadline_seconds` counts from when the host begins the operation. Before that a blob may
        wait for its turn, and be sent at SLOWEST_BYTES_PER_SECOND; `on_event` gets events without
        a step about its progress.
        """
        fields = to_json(asked)
        with self._changed:
            if self._flight_answered:
                self._flight += 1
                self._flight_answered = False
                self.round_trips += 1
            number, kind, size = next(self._ids), type(asked), _size(blob)
            pending = Pending(self, number, kind, deadline_seconds, on_event, self._flight, size)
            self._pending[number] = pending
            header: Header = {
                "t": "request",
                "id": number,
                "op": asked.op,
                "args": fields,
                "deadline_seconds": deadline_seconds,
                "group": group,
                "blob": blob is not None,
            }
            frames = _told(_frames(header, blob), pending)
            self._outgoing.append(frames if blob is None else self._in_turn(frames, pending))
            self._changed.notify_all()
        return pending

    def cancel(self, seconds: float = END_SECONDS) -> bool:
        """Stop the running operation and let the host recover.

        Waits at most `seconds`; True if the host side has ended.
        """
        with self._changed:
            self._cancelled = True
            self._outgoing.clear()
            self._outgoing.append(_just(framing.pack({"t": "cancel"})))
            self._changed.notify_all()
            self._may_send.set()
            self._wake_turn()
        return self._wait_for_end(seconds)

    def close(self, seconds: float = END_SECONDS) -> None:
        """Tell the host side that no more requests follow, and wait until it has ended.

        Never raises: failures were raised where an answer was missing.
        """
        with self._changed:
            self._ending = True
            if not self._pending:
                self._may_send.set()
            self._changed.notify_all()
        if self._error is None and not self._ended:
            self.round_trips += 1
            self._wait_for_end(seconds)
        self._fail(ConnectError("ssh-lost", "the session was closed", host=self.host))
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()

    # -- starting

    def _open_channel(self) -> paramiko.Channel:
        with failures(self.target):
            self._connection.open()
            transport = self._connection.transport
            channel: paramiko.Channel = transport.open_session(timeout=CHANNEL_TIMEOUT_SECONDS)
        self.round_trips += 1
        return channel

    def _start(self) -> None:
        command = startup.start_command(
            self.target, self._bundle.loader, sudo=self._sudo, unit=self._unit
        )
        _exec_without_waiting(self._connection.transport, self._channel, command)
        self.round_trips += 1  # the greeting
        for target in (self._receive, self._send):
            threading.Thread(
                target=target, name=f"{self.host} {target.__name__}", daemon=True
            ).start()

    # -- waiting

    def _await(self, pending: Pending[A]) -> None:
        submitted_at = time.monotonic()
        while True:
            with self._changed:
                if pending._answer is not None or pending._broken_listener is not None:
                    if pending._flight == self._flight:
                        self._flight_answered = True
                    return
                if self._error is not None:
                    raise self._error
                if self._ended:
                    raise ConnectError("ssh-lost", "the session has ended", host=self.host)
                self._changed.wait(_WAIT_SLICE_SECONDS)
            if not self.python and time.monotonic() - submitted_at > START_SECONDS:
                self._fail(self._no_greeting(f"no greeting within {START_SECONDS:g} s"))
            self._check_deadline(pending)

    def _check_deadline(self, pending: Pending[A]) -> None:
        if pending._started_at is None:
            self._check_turn(pending)
            return
        seconds = pending._deadline_seconds
        if time.monotonic() - pending._started_at < seconds + DEADLINE_GRACE_SECONDS:
            return
        self._give_up(f"{pending.op} did not end within {seconds:g} s")

    def _check_turn(self, pending: Pending[A]) -> None:
        """Raises if the next request does not begin in time: the host takes them in order."""
        with self._changed:
            if not self.python or pending._id != min(self._pending, default=pending._id):
                return
            since = max(pending._ready_at, self._turned_at)
        seconds = BEGIN_SECONDS + pending._blob_bytes / SLOWEST_BYTES_PER_SECOND
        if time.monotonic() - since < seconds:
            return
        self._give_up(f"{pending.op} did not begin within {seconds:.0f} s")

    def _give_up(self, message: str) -> None:
        self.cancel(DEADLINE_GRACE_SECONDS)
        self._fail(CartwheelError("deadline", message, host=self.host))

    def _wait_for_end(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._ended and self._error is None and time.monotonic() < deadline:
                self._changed.wait(_WAIT_SLICE_SECONDS)
            return self._ended

    def _fail(self, error: CartwheelError) -> None:
        """Keep the first failure, and give it to every waiting caller."""
        with self._changed:
            if self._error is None:
                self._error = error
            self._may_send.set()
            self._outgoing.clear()
            self._changed.notify_all()
            self._wake_turn()
        # The channel may already be closed, or its connection lost.
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()

    # -- the sending thread

    def _send(self) -> None:
        try:
            self._may_send.wait()
            if self.python and not self._cancelled:
                config: Header = {
                    "t": "config",
                    "lease_seconds": self.target.lease_seconds,
                    "about": to_json(self._about),
                }
                self._channel.sendall(self._bundle.payload + framing.pack(config))
                self._send_all()
            if self._error is None:
                self._channel.shutdown_write()
        except (OSError, EOFError, paramiko.SSHException):
            pass  # the receiving thread reports why
        except CartwheelError as error:  # a blob that cannot be read
            self._fail(error)

    def _send_all(self) -> None:
        while (item := self._next_to_send()) is not None:
            with contextlib.closing(item):  # at once: others wait for the turn
                for data in item:
                    self._channel.sendall(data)
                    if self._cancelled and self._outgoing:
                        break  # the cancellation is sent before the rest of an upload

    def _in_turn(self, frames: Iterator[bytes], pending: Pending[A]) -> Frames:
        """A blob's frames when it is their turn; until then signs of life."""
        with self._uplink.turn() as turn:
            self._turn = turn
            told = -_TELL_SECONDS
            while not turn.wait(0 if self._is_off() else framing.BEAT_SECONDS):
                if self._is_off():
                    return
                pending._ready_at = now = time.monotonic()
                if now - told >= _TELL_SECONDS:
                    told = now
                    _notify(pending, _progress("waiting for its turn to be uploaded"))
                yield framing.pack({"t": "beat"})
            pending._ready_at = time.monotonic()
            for data in frames:
                yield from self._paced(turn, pending, len(data))
                yield data

    def _paced(self, turn: Turn, pending: Pending[A], size_bytes: int) -> Frames:
        """Wait until this many bytes may be sent, with signs of life."""
        until = time.monotonic() + self._uplink.reserve(size_bytes)
        while (left := until - time.monotonic()) > 0 and not self._is_off():
            turn.pause(min(left, framing.BEAT_SECONDS))
            pending._ready_at = time.monotonic()
            if left > framing.BEAT_SECONDS:
                yield framing.pack({"t": "beat"})

    def _wake_turn(self) -> None:
        if self._turn is not None:
            self._turn.wake()

    def _next_to_send(self) -> Frames | None:
        """The next frames; a heartbeat if there were none for a while; None at the end."""
        with self._changed:
            if not self._outgoing and not self._over():
                self._changed.wait_for(lambda: self._outgoing or self._over(), framing.BEAT_SECONDS)
            if self._outgoing:
                return self._outgoing.popleft()
            return None if self._over() else _just(framing.pack({"t": "beat"}))

    def _is_off(self) -> bool:
        """Whether nothing more will be sent."""
        return self._cancelled or self._error is not None or self._ended

    def _over(self) -> bool:
        return self._ending or self._error is not None or self._ended

    # -- the receiving thread

    def _receive(self) -> None:
        decoder = framing.Decoder()
        try:
            for output in self._output():
                ours = output if self.python else self._greeted(output)
                for frame in decoder.feed(ours):
                    self._take(frame)
            self._finished()
        except CartwheelError as error:
            self._fail(error)
        except framing.FrameError as error:
            self._fail(ConnectError("host-side", f"unreadable answer: {error}", host=self.host))
        except Exception as error:
            self._fail(
                ConnectError("ssh-lost", f"the connection was lost: {error}", host=self.host)
            )

    def _output(self) -> Iterator[bytes]:
        """Pieces of standard output until its end; also watches for silence."""
        poller = select.poll()
        poller.register(self._channel.fileno(), select.POLLIN)
        last_look = time.monotonic()
        while True:
            ready = poller.poll(_POLL_SECONDS * 1000)
            now = time.monotonic()
            while self._channel.recv_stderr_ready():
                self._take_stderr(self._channel.recv_stderr(_READ_BYTES))
            if self._channel.recv_ready():
                self._heard = now
                yield self._channel.recv(_READ_BYTES)
            elif self._channel.eof_received or self._channel.closed:
                if self._channel.recv_ready():
                    continue  # output arrived between the two checks
                return
            elif not ready:
                if now - last_look > 2 * _POLL_SECONDS + 1:
                    self._heard = now  # this process was suspended
                self._check_silence(now)
            last_look = now

    def _check_silence(self, now: float) -> None:
        silence = now - self._heard
        if self.python and silence > SILENCE_SECONDS:
            raise ConnectError(
                "ssh-lost", f"the host fell silent (noticed after {silence:.0f} s)", host=self.host
            )

    def _take_stderr(self, data: bytes) -> None:
        before = len(self._asking.findall(self._stderr))
        self._stderr += data
        if not self.python and len(self._asking.findall(self._stderr)) > before:
            self._answer_prompt()
        del self._stderr[:-_STDERR_TAIL_BYTES]

    def _answer_prompt(self) -> None:
        self._prompts += 1
        if self._prompts > 1 or self.target.sudo_password is None:
            raise startup.wrong_password(self.target)
        self.round_trips += 1
        self._channel.sendall(f"{self.target.sudo_password.reveal()}\n".encode())

    def _greeted(self, output: bytes) -> bytes:
        """The output after the greeting; empty until it has come."""
        self._printed += output
        hello = startup.find_hello(self._printed)
        if hello is None:
            if len(self._printed) > startup.NOISE_LIMIT_BYTES:
                raise self._no_greeting("the login prints without stopping")
            return b""
        if hello.version < OLDEST_PYTHON:
            raise startup.too_old(self.target, hello.text)
        self._heard = self._turned_at = time.monotonic()
        self.python = hello.text
        self._may_send.set()
        return bytes(self._printed[hello.end :])

    def _take(self, frame: framing.Frame) -> None:
        header, kind = frame.header, frame.header["t"]
        if kind == "noise":
            self._stderr += frame.body
            del self._stderr[:-_STDERR_TAIL_BYTES]
        if "id" not in header:
            return
        pending = self._pending.get(header["id"])
        if pending is None:
            return
        if kind == "event":
            _notify(pending, header["event"])
            return
        with self._changed:
            if kind == "start":
                pending._started_at = time.monotonic()
            elif kind in ("result", "error"):
                pending._answer = header
                self._turned_at = time.monotonic()
                del self._pending[header["id"]]
            self._changed.notify_all()

    def _finished(self) -> None:
        """The host side has closed its end: as requested, or too early."""
        status = self._exit_status()
        with self._changed:
            expected = (self._ending or self._cancelled) and not self._pending
            if status == 0 and (expected or self._cancelled):
                self._ended = True
                self._changed.notify_all()
                return
        if not self.python:
            self._fail(self._not_started(status))
            return
        how = "without an exit status" if status is None else f"with exit status {status}"
        # It ends by itself with success only after it has lost the connection.
        slug = "ssh-lost" if status in (None, 0) else "host-side"
        self._fail(
            ConnectError(
                slug, f"the host side ended {how}", host=self.host, detail=self._stderr_text()
            )
        )

    def _exit_status(self) -> int | None:
        """None if none came: a signal, or a broken connection (P11)."""
        self._channel.status_event.wait(_STATUS_SECONDS)  # or until the channel is closed
        while self._channel.recv_stderr_ready():
            self._take_stderr(self._channel.recv_stderr(_READ_BYTES))
        status = self._channel.exit_status
        return None if status < 0 else status

    def _not_started(self, status: int | None) -> ConnectError:
        return startup.why_not_started(
            self.target,
            status,
            self._stderr_text(),
            sudo=bool(self._sudo),
            unit=self._unit,
            printed=self._printed.decode("utf-8", "replace"),
        )

    def _no_greeting(self, reason: str) -> ConnectError:
        printed = self._printed.decode("utf-8", "replace")
        return startup.no_greeting(self.target, reason, self._stderr_text(), printed)

    def _stderr_text(self) -> str:
        return self._stderr.decode("utf-8", "replace").replace(self._prompt, "")


def open_session(
    target: Target,
    gateways: Gateways,
    *,
    unit: UnitSpec | None = None,
    bundle: Bundle | None = None,
    uplink: Uplink | None = None,
    about: About = NOTHING,
) -> Session:
    """Connect, log in and start the host side as root (through sudo). Its requests are about one
    application (`about`).

    Uploads take turns with those of all sessions that share `uplink`. Returns without waiting for
    the host side: the first answer says whether it has started. Raises ConnectError.
    """
    connection = StrictConnection(target, gateways)
    try:
        return Session(connection, unit=unit, bundle=bundle, uplink=uplink, about=about)
    except BaseException:
        connection.close()
        raise


def _just(data: bytes) -> Frames:
    yield data


def _frames(header: Header, blob: Blob | None) -> Iterator[bytes]:
    yield framing.pack(header)
    if blob is None:
        return
    name: Header = {"t": "blob", "id": header["id"]}
    if isinstance(blob, bytes):
        for at in range(0, len(blob), framing.BLOB_CHUNK_BYTES):
            yield framing.pack(name, blob[at : at + framing.BLOB_CHUNK_BYTES])
    else:
        for chunk in _chunks(blob):
            yield framing.pack(name, chunk)
    yield framing.pack({"t": "blob-end", "id": header["id"]})


def _size(blob: Blob | None) -> int:
    if blob is None or isinstance(blob, bytes):
        return len(blob or b"")
    try:
        return blob.stat().st_size
    except OSError:  # sending it will raise the reason
        return 0


def _told(frames: Iterator[bytes], pending: Pending[A]) -> Frames:
    """The frames; every second the listener gets the progress of a blob."""
    transfer, sent = Transfer(pending._blob_bytes, "sent"), 0
    for data in frames:
        yield data
        sent += len(data)
        text = transfer.report(sent)
        if text is not None:
            _notify(pending, _progress(text))


def _progress(detail: str) -> Told:
    return {"step": "", "state": "progress", "detail": detail}


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(framing.BLOB_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise CartwheelError(
            "source", f"{path} cannot be read: {error.strerror}", hint="Build it again."
        ) from error


def _notify(pending: Pending[A], event: Told) -> None:
    if pending._on_event is None:
        return
    try:
        pending._on_event(event)
    except Exception as error:  # an error of the listener must not stop the session
        pending._broken_listener = error


def _exec_without_waiting(
    transport: paramiko.Transport, channel: paramiko.Channel, command: str
) -> None:
    """Like `channel.exec_command`, but without asking for a reply (RFC 4254, 6.5).

    It saves a round trip: the exit status shows whether the command has started.
    """
    message = paramiko.Message()
    message.add_byte(paramiko.common.cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(False)
    message.add_string(command)
    transport._send_user_message(message)  # type: ignore[attr-defined]  # paramiko's own
