"""Load for a site over TLS with HTTP/2: every failed request is counted.

It runs like `cartwheel_lab.load`, and prints the same summary. Each client keeps one connection, on
which several requests are under way. A server that wants to close it says so by GOAWAY, with the
last stream that it answers (RFC 9113, 6.8): the client sends later ones again on a new connection,
and counts them as closed; all others must be answered.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from cartwheel_lab.load import (
    STREAM_END,
    BadAnswerError,
    Tally,
    program,
    release_in,
    side_by_side,
)

_PATIENCE_SECONDS = 30.0
_READ_BYTES = 65536
_ALPN = "h2"
_STREAMED = "/stream?"
_FRAME_HEAD, _GOAWAY = 9, 7


@dataclass(frozen=True)
class Plan:
    """As in `cartwheel_lab.load.Plan`, with `clients` that have `streams` requests under way."""

    address: str = "127.0.0.1"
    port: int = 443
    host: str = "localhost"
    seconds: float = 60.0
    clients: int = 2
    streams: int = 4
    # Each stream asks for one of them.
    paths: Sequence[str] = ("/healthz", "/slow?seconds=1", f"{_STREAMED}pieces=8&seconds=1")
    work_seconds: Sequence[float] = (0.0, 1.0, 1.0)  # of each path
    pause_seconds: float = 0.03
    late_seconds: float = 1.0
    releases: Sequence[str] = ()
    release_pattern: str = r'"version":\s*"([^"]*)"'


@dataclass
class Stream:
    """One request."""

    which: int
    began: float
    status: int = 0
    body: bytes = b""


@dataclass
class Line:
    """One connection, and the requests that are under way on it. `last`: the last stream that the
    server answers, once it has said so."""

    sock: ssl.SSLSocket
    http: h2.connection.H2Connection
    streams: dict[int, Stream] = field(default_factory=dict)
    last: int | None = None
    unread: bytes = b""


def run(plan: Plan, stop: threading.Event, ready: Callable[[], None]) -> Tally:
    """Load the site until `stop` or `plan.seconds`, and wait for the requests under way."""
    tally = Tally()
    clients = [("http2", partial(_client, plan, tally, stop))] * plan.clients
    side_by_side(clients, tally, plan.seconds, stop, ready)
    return tally


def _client(plan: Plan, tally: Tally, stop: threading.Event) -> None:
    while not stop.is_set():
        _one_connection(plan, tally, stop)


def _one_connection(plan: Plan, tally: Tally, stop: threading.Event) -> None:
    """Until the server closes it. What it had not taken is counted as closed, the rest failed."""
    try:
        line = _connect(plan)
    except (OSError, BadAnswerError) as error:
        tally.bad("http2", f"{type(error).__name__}: {error}")
        stop.wait(plan.pause_seconds)
        return
    problem = "the connection was closed"
    try:
        _serve(plan, tally, stop, line)
    except (OSError, h2.exceptions.ProtocolError) as error:
        problem = f"{type(error).__name__}: {error}"
    finally:
        line.sock.close()
    for number in line.streams:
        if line.last is not None and number > line.last:
            tally.closed()
        else:
            tally.bad("http2", problem)


def _connect(plan: Plan) -> Line:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([_ALPN])
    plain = socket.create_connection((plan.address, plan.port), _PATIENCE_SECONDS)
    try:
        secure = context.wrap_socket(plain, server_hostname=plan.host)
    except BaseException:
        plain.close()
        raise
    if secure.selected_alpn_protocol() != _ALPN:
        secure.close()
        raise BadAnswerError("the site does not speak HTTP/2")
    http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    http.initiate_connection()
    secure.sendall(http.data_to_send())
    return Line(secure, http)


def _serve(plan: Plan, tally: Tally, stop: threading.Event, line: Line) -> None:
    """Ask, read answers, and ask again, until GOAWAY or `stop`, and then to the last answer."""
    next_at = time.monotonic()
    while True:
        if not stop.is_set() and line.last is None and time.monotonic() >= next_at:
            _ask(plan, line)
            next_at = time.monotonic() + plan.pause_seconds
        if not line.streams and (stop.is_set() or line.last is not None):
            line.http.close_connection()
            line.sock.sendall(line.http.data_to_send())
            return
        oldest = min((one.began for one in line.streams.values()), default=time.monotonic())
        if time.monotonic() - oldest > _PATIENCE_SECONDS:
            raise TimeoutError("no answer in time")
        line.sock.settimeout(plan.pause_seconds)
        try:
            data = line.sock.recv(_READ_BYTES)
        except TimeoutError:
            continue
        if not data:
            return
        for event in line.http.receive_data(_frames(line, data)):
            _take(plan, tally, line, event)
        _send(line)


def _frames(line: Line, data: bytes) -> bytes:
    """The whole frames that have come, without GOAWAY: h2 takes no answer after it, and the server
    still answers what it has taken (RFC 9113, 4.1 and 6.8)."""
    line.unread += data
    found = b""
    while len(line.unread) >= _FRAME_HEAD:
        size = _FRAME_HEAD + int.from_bytes(line.unread[:3], "big")
        if len(line.unread) < size:
            break
        frame, line.unread = line.unread[:size], line.unread[size:]
        if frame[3] == _GOAWAY:
            line.last = int.from_bytes(frame[_FRAME_HEAD : _FRAME_HEAD + 4], "big") & 0x7FFFFFFF
        else:
            found += frame
    return found


def _ask(plan: Plan, line: Line) -> None:
    """As many requests as are missing."""
    while len(line.streams) < plan.streams:
        which = len(line.streams) % len(plan.paths)
        number = line.http.get_next_available_stream_id()
        head = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", plan.host),
            (":path", plan.paths[which]),
            ("user-agent", "cartwheel-load"),
        ]
        line.http.send_headers(number, head, end_stream=True)
        line.streams[number] = Stream(which, time.monotonic())
    _send(line)


def _send(line: Line) -> None:
    line.sock.settimeout(_PATIENCE_SECONDS)
    line.sock.sendall(line.http.data_to_send())


def _take(plan: Plan, tally: Tally, line: Line, event: h2.events.Event) -> None:
    if isinstance(event, h2.events.ResponseReceived) and event.stream_id in line.streams:
        line.streams[event.stream_id].status = int(dict(event.headers or [])[b":status"])
    elif isinstance(event, h2.events.DataReceived):
        line.http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        if event.stream_id in line.streams:
            line.streams[event.stream_id].body += event.data or b""
    elif isinstance(event, h2.events.StreamReset) and event.stream_id in line.streams:
        del line.streams[event.stream_id]
        tally.bad("http2", f"the stream was reset: {event.error_code}")
    elif isinstance(event, h2.events.StreamEnded) and event.stream_id in line.streams:
        _count(plan, tally, line.streams.pop(event.stream_id))


def _count(plan: Plan, tally: Tally, one: Stream) -> None:
    text = one.body.decode("utf-8", "replace")
    stall = time.monotonic() - one.began - plan.work_seconds[one.which]
    try:
        if one.status != 200:
            raise BadAnswerError(f"status {one.status}")
        if plan.paths[one.which].startswith(_STREAMED) and text.splitlines()[-1:] != [STREAM_END]:
            raise BadAnswerError(f"torn stream: {text[-40:]!r}")
        release = release_in(text, plan.release_pattern, plan.releases)
    except BadAnswerError as error:
        tally.bad("http2", str(error))
        return
    tally.good("http2", stall, release, "", late=stall > plan.late_seconds)


if __name__ == "__main__":
    sys.exit(program(lambda plan, stop, ready: run(Plan(**plan), stop, ready)))
