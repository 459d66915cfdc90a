"""Load for a site, by threads of the standard library: every failed request is counted.

It runs alone under a plain `python3`, inside a host's network (`lab.visitors` starts it). It reads
one line of JSON with the fields of `Plan` from standard input, prints `ready`, and loads the site
until standard input ends or `seconds` are over. Then it writes `Tally.summary` as a line of JSON.

Failures are: no connection, a reset, an incomplete answer, a status other than 200, an unexpected
body, and an answer that names no release or one that must not answer.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

_PATIENCE_SECONDS = 30.0  # no answer within this time is a failure
_OK = 200
_UPLOAD_PIECES = 8
_SHOWN_FAILURES = 50
STREAM_END = "end"  # its last line


@dataclass(frozen=True)
class Plan:
    """The clients and their requests. Counts are of clients; each sends one request at a time."""

    address: str = "127.0.0.1"
    port: int = 80
    host: str = "localhost"
    seconds: float = 60.0  # at most
    keep_alive: int = 4  # GET `path` on a connection that is kept
    close: int = 4  # GET `path` on a new connection each time
    slow: int = 2  # GET `slow_path`, which takes `slow_seconds`
    upload: int = 2  # POST `upload_bytes` to `upload_path` within `upload_seconds`
    stream: int = 2  # GET `stream_path`, which sends its pieces over `stream_seconds`
    path: str = "/healthz"
    slow_path: str = "/slow?seconds="
    slow_seconds: float = 1.0
    upload_path: str = "/upload"
    upload_bytes: int = 200_000
    upload_seconds: float = 0.8
    # Its answer has a line for each piece, which names the release, and then a line `end`.
    stream_path: str = "/stream?pieces={pieces}&seconds={seconds}"
    stream_pieces: int = 8
    stream_seconds: float = 1.0
    pause_seconds: float = 0.03  # of each client after each answer
    late_seconds: float = 1.0  # an answer is late if it takes this much longer than its own work
    releases: Sequence[str] = ()  # that may answer; empty: any
    # How an answer names the release and the process that sent it. Every answer must name its
    # release, unless that pattern is empty.
    release_pattern: str = r'"version":\s*"([^"]*)"'
    process_pattern: str = r'"pid":\s*(\d+)'


@dataclass
class Tally:
    """The results of all clients."""

    started: float = field(default_factory=time.monotonic)
    sent: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)
    idle_closed: list[float] = field(default_factory=list)
    releases: Counter[str] = field(default_factory=Counter)
    processes: Counter[str] = field(default_factory=Counter)
    stalls: dict[str, float] = field(default_factory=dict)
    stalled: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def good(self, kind: str, stall_seconds: float, release: str, process: str, late: bool) -> None:
        """Count a complete, correct answer that came `stall_seconds` later than its own work."""
        with self.lock:
            self.sent[kind] += 1
            if release:
                self.releases[release] += 1
            if process:
                self.processes[process] += 1
            if late:
                stall = round(stall_seconds, 3)
                self.late.append({"at": round(self.now(), 3), "kind": kind, "stall_seconds": stall})
            if stall_seconds > max(self.stalls.values(), default=0.0):
                self.stalled = f"{kind} at {self.now():.3f}"
            self.stalls[kind] = max(stall_seconds, self.stalls.get(kind, 0.0))

    def bad(self, kind: str, problem: str) -> None:
        with self.lock:
            self.sent[kind] += 1
            self.failures.append({"at": round(self.now(), 3), "kind": kind, "problem": problem})

    def closed(self) -> None:
        """Count a kept connection that the other side closed before it started an answer.

        HTTP allows a server to do so at any time; the client sends its request again.
        """
        with self.lock:
            self.idle_closed.append(round(self.now(), 3))

    def now(self) -> float:
        return time.monotonic() - self.started

    def summary(self) -> dict[str, Any]:
        """All results. Seconds count from the start; `late` counts good answers that took
        `late_seconds` longer than their own work; `idle_closed` lists when kept connections were
        closed between two answers; `stalls` is the longest stall of each kind in seconds, and
        `stalled` names the request with the longest one."""
        with self.lock:
            return {
                "seconds": round(self.now(), 3),
                "sent": dict(self.sent),
                "failed": len(self.failures),
                "failed_by_kind": dict(Counter(one["kind"] for one in self.failures)),
                "failures": self.failures[:_SHOWN_FAILURES],
                "late": len(self.late),
                "latest": self.late[:_SHOWN_FAILURES],
                "idle_closed": self.idle_closed,
                "longest_stall_seconds": round(max(self.stalls.values(), default=0.0), 3),
                "stalls": {kind: round(stall, 3) for kind, stall in self.stalls.items()},
                "stalled": self.stalled,
                "releases": dict(self.releases),
                "processes": dict(self.processes),
            }


class BadAnswerError(Exception):
    """The site sent a wrong answer."""


def run(plan: Plan, stop: threading.Event, ready: Callable[[], None]) -> Tally:
    """Load the site until `stop` or `plan.seconds`, and wait for the requests under way."""
    tally = Tally()
    asks: list[tuple[str, int, Ask]] = [
        ("close", plan.close, _get),
        ("slow", plan.slow, _get_slowly),
        ("upload", plan.upload, _post),
        ("stream", plan.stream, _stream),
    ]
    clients = [("keep-alive", lambda: _keep_alive(plan, tally, stop))] * plan.keep_alive
    for kind, count, ask in asks:
        clients += [(kind, partial(_each_alone, plan, tally, stop, kind, ask))] * count
    side_by_side(clients, tally, plan.seconds, stop, ready)
    return tally


def side_by_side(
    clients: Sequence[tuple[str, Callable[[], None]]],
    tally: Tally,
    seconds: float,
    stop: threading.Event,
    ready: Callable[[], None],
) -> None:
    """Run these clients, each of a kind, until `stop` or `seconds`, and wait for their ends."""
    threads = [threading.Thread(target=_to_the_end, args=(tally, *one)) for one in clients]
    for thread in threads:
        thread.start()
    ready()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join()


def _to_the_end(tally: Tally, kind: str, client: Callable[[], None]) -> None:
    """Run a client; an unexpected exception in it counts as a failure."""
    try:
        client()
    except Exception as error:
        tally.bad(kind, f"the client died: {_said(error)}")


def _each_alone(plan: Plan, tally: Tally, stop: threading.Event, kind: str, ask: Ask) -> None:
    while not stop.is_set():
        _once(plan, tally, kind, ask)
        stop.wait(plan.pause_seconds)


def _connect(plan: Plan) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(plan.address, plan.port, timeout=_PATIENCE_SECONDS)


def _keep_alive(plan: Plan, tally: Tally, stop: threading.Event) -> None:
    """One connection for as long as the server keeps it."""
    while not stop.is_set():
        line = _connect(plan)
        line.auto_open = 0  # a closed connection must be noticed
        used = False
        try:
            line.connect()
            while not stop.is_set() and (line.sock is not None or not used):
                _measure(plan, tally, "keep-alive", _get, line)
                used = True
                stop.wait(plan.pause_seconds)
        except (ConnectionResetError, BrokenPipeError) as error:
            # http.client's RemoteDisconnected (no byte of an answer) is a ConnectionResetError.
            if used:
                tally.closed()
            else:
                tally.bad("keep-alive", _said(error))
        except (OSError, http.client.HTTPException, BadAnswerError) as error:
            tally.bad("keep-alive", _said(error))
        finally:
            line.close()
        stop.wait(plan.pause_seconds)


def _once(plan: Plan, tally: Tally, kind: str, ask: Ask) -> None:
    """Send one request on a new connection."""
    line = _connect(plan)
    try:
        _measure(plan, tally, kind, ask, line)
    except (OSError, http.client.HTTPException, BadAnswerError) as error:
        tally.bad(kind, _said(error))
    finally:
        line.close()


# Sends one request and reads its answer; returns the text, and the seconds of its own work.
Ask = Callable[[Plan, http.client.HTTPConnection, bool], "tuple[str, float]"]


def _measure(
    plan: Plan, tally: Tally, kind: str, ask: Ask, line: http.client.HTTPConnection
) -> None:
    began = time.monotonic()
    text, work_seconds = ask(plan, line, kind == "keep-alive")
    stall = time.monotonic() - began - work_seconds
    release = release_in(text, plan.release_pattern, plan.releases)
    process = _named(plan.process_pattern, text)
    tally.good(kind, stall, release, process, late=stall > plan.late_seconds)


def release_in(text: str, pattern: str, releases: Sequence[str]) -> str:
    """The release that gave this answer; without a pattern it is not known. Raises BadAnswerError
    for none, several, or one that is not among `releases`."""
    if not pattern:
        return ""
    named = set(re.findall(pattern, text))
    if len(named) != 1:
        raise BadAnswerError(f"releases {sorted(named) or 'none'} in one answer: {text[:100]}")
    release = str(named.pop())
    if releases and release not in releases:
        raise BadAnswerError(f"release {release} must not answer")
    return release


def _get(plan: Plan, line: http.client.HTTPConnection, keep: bool) -> tuple[str, float]:
    line.request("GET", plan.path, headers=_headers(plan, keep))
    return _answer(line), 0.0


def _get_slowly(plan: Plan, line: http.client.HTTPConnection, keep: bool) -> tuple[str, float]:
    line.request("GET", f"{plan.slow_path}{plan.slow_seconds}", headers=_headers(plan, keep))
    return _answer(line), plan.slow_seconds


def _post(plan: Plan, line: http.client.HTTPConnection, keep: bool) -> tuple[str, float]:
    """Send a body slowly; the site must have received exactly this body."""
    body = bytes(plan.upload_bytes)
    line.putrequest("POST", plan.upload_path, skip_host=True)
    for name, value in {**_headers(plan, keep), "Content-Length": str(len(body))}.items():
        line.putheader(name, value)
    line.endheaders()
    piece = -(-len(body) // _UPLOAD_PIECES)
    began = time.monotonic()
    for at in range(0, len(body), piece):
        time.sleep(plan.upload_seconds / _UPLOAD_PIECES)
        line.send(body[at : at + piece])
    work_seconds = time.monotonic() - began
    text = _answer(line)
    if hashlib.sha256(body).hexdigest() not in text:
        raise BadAnswerError(f"torn upload: {text[:100]}")
    return text, work_seconds


def _stream(plan: Plan, line: http.client.HTTPConnection, keep: bool) -> tuple[str, float]:
    """Read an answer in pieces: all pieces, and then its end. A proxy that speaks HTTP/1.0 to the
    application cannot tell a torn stream from a complete one, so the body marks its end."""
    path = plan.stream_path.format(pieces=plan.stream_pieces, seconds=plan.stream_seconds)
    line.request("GET", path, headers=_headers(plan, keep))
    text = _answer(line)
    pieces = text.splitlines()
    if len(pieces) != plan.stream_pieces + 1 or pieces[-1] != STREAM_END:
        raise BadAnswerError(f"torn stream: {len(pieces)} lines, the last is {text[-40:]!r}")
    if plan.release_pattern and not all(
        re.search(plan.release_pattern, one) for one in pieces[:-1]
    ):
        raise BadAnswerError(f"a piece of a stream names no release: {text[:200]}")
    return text, plan.stream_seconds


def _headers(plan: Plan, keep: bool) -> dict[str, str]:
    return {
        "Host": plan.host,
        "User-Agent": "cartwheel-load",
        "Connection": "keep-alive" if keep else "close",
    }


def _answer(line: http.client.HTTPConnection) -> str:
    """The complete body. Raises BadAnswerError for a status other than 200 or a torn body."""
    try:
        answer = line.getresponse()
    except http.client.BadStatusLine as error:
        if isinstance(error, ConnectionResetError):
            raise
        raise BadAnswerError(f"unreadable: {error!r}") from error
    try:
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise BadAnswerError(f"torn body: {_said(error)}") from error
    text = body.decode("utf-8", "replace")
    if answer.status != _OK:
        raise BadAnswerError(f"status {answer.status}")
    return text


def _named(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found.group(1) if found else ""


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, BadAnswerError) else f"{type(error).__name__}: {error}"


# Runs clients by a plan (JSON before it is decoded) until the event, and says when they begin.
Run = Callable[[dict[str, Any], threading.Event, Callable[[], None]], Tally]


def program(run_clients: Run) -> int:
    """A whole program: the plan from standard input, the result to standard output."""
    plan = json.loads(sys.stdin.readline())
    stop = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        stop.set()

    def say_ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    socket.setdefaulttimeout(_PATIENCE_SECONDS)
    threading.Thread(target=wait_for_end, daemon=True).start()
    tally = run_clients(plan, stop, say_ready)
    sys.stdout.write(json.dumps(tally.summary()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(program(lambda plan, stop, ready: run(Plan(**plan), stop, ready)))
