"""Health checks of an instance: only HTTP answers over its own socket count.

`systemctl start` returning 0 proves nothing: gunicorn reports ready before its workers
import the application.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Dict, Optional, Sequence, Tuple

from cartwheel.host.process import advice
from cartwheel.host.system import systemd
from cartwheel.host.system.context import Context, OpError, boottime
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.wire.health import Probe

_POLL_SECONDS = 0.05
_BODY_BYTES = 200
_SHOWN_CHARACTERS = 100
_TITLE = re.compile(r"<title>\s*([^<\n]+)", re.IGNORECASE)
# One answer for this long will not change by itself: the whole deadline is for slow starts.
_STEADY_SECONDS = 5.0
_SLOW = "If it only needs longer to start, raise health.deadline_seconds."
_RELOAD_SECONDS = 5.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class NoAnswer(Exception):
    """The reason why there was no answer."""


def exchange(
    connection: http.client.HTTPConnection, probe: Probe, extra: Optional[Dict[str, str]] = None
) -> Tuple[http.client.HTTPResponse, bytes]:
    """Make one request; returns the answer and the beginning of its body. `timeout_seconds` is for
    all of it: an answer that arrives byte by byte fails. Raises NoAnswer."""
    late = threading.Event()
    try:
        connection.connect()
        timer = threading.Timer(probe.timeout_seconds, _cut, [connection.sock, late])
        timer.daemon = True
        timer.start()
        try:
            connection.request("GET", probe.path, headers={**_headers(probe), **(extra or {})})
            answer = connection.getresponse()
            body = answer.read(_BODY_BYTES)
        finally:
            timer.cancel()
    # ValueError: a path or host that is not allowed in a request
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(_too_late(probe) if late.is_set() else _no_answer(error, probe)) from error
    finally:
        connection.close()
    if late.is_set():
        raise NoAnswer(_too_late(probe))
    return answer, body


def _headers(probe: Probe) -> Dict[str, str]:
    return {
        "Host": probe.host,
        "X-Forwarded-Proto": probe.scheme,
        "X-Forwarded-For": "127.0.0.1",
        "User-Agent": "cartwheel-probe",
        "Connection": "close",
    }


def _cut(sock: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):  # closed in the meantime
        sock.shutdown(socket.SHUT_RDWR)


def _no_answer(error: Exception, probe: Probe) -> str:
    if isinstance(error, FileNotFoundError):
        return "it does not listen"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens on its socket"
    if isinstance(error, socket.timeout):  # TimeoutError from Python 3.10 on
        return _too_late(probe)
    return f"{probe.path} has no answer: {type(error).__name__} ({error})"


def _too_late(probe: Probe) -> str:
    return f"{probe.path} did not answer within {probe.timeout_seconds:g} s"


@dataclass(frozen=True)
class Problem:
    """The problem, and the setting that decides. `steady`: the status of an answer that will not
    change by itself; 0 if another attempt may be better."""

    text: str
    hint: str = ""
    steady: int = 0


def ask_socket(path: Path, probe: Probe) -> str:
    """The problem with an instance's answers over its own socket; "" if there is none."""
    problem = examine(path, probe)
    return problem.text if problem else ""


def examine(path: Path, probe: Probe) -> Optional[Problem]:
    """Make one request over the instance's own socket, and one for each further path, which may
    also answer with a redirect; None if all are good."""
    problem = _ask(path, probe, str(probe.status), lambda status: status == probe.status)
    for one in probe.also:
        further = replace(probe, path=one)
        problem = problem or _ask(path, further, "2xx or 3xx", lambda status: status < 400)
    return problem


def _ask(
    path: Path, probe: Probe, wanted: str, is_good: Callable[[int], bool]
) -> Optional[Problem]:
    """Make one request. Returns None if the answer is as wanted."""
    try:
        answer, body = exchange(_UnixConnection(str(path), probe.timeout_seconds), probe)
    except NoAnswer as error:
        return Problem(str(error), _hint_of_silence(str(error)))
    if is_good(answer.status):
        return None
    location = answer.getheader("Location") or ""
    to = f" (to {location[:_SHOWN_CHARACTERS]})" if location else ""
    status = answer.status
    return Problem(
        f"{probe.path} answered {status}{to} instead of {wanted}{_first_line(body)}",
        advice.of_answer(status, location, probe),
        status if advice.is_steady(status) else 0,
    )


def _hint_of_silence(text: str) -> str:
    if "within" in text:
        return "health.timeout_seconds limits one answer; health.path may name a quicker path."
    return ""


def _first_line(body: bytes) -> str:
    """The beginning of an answer: of a page its title."""
    text = body.decode("utf-8", "replace").strip()
    title = _TITLE.search(text)
    lines = [title.group(1).strip()] if title else [] if text.startswith("<") else text.splitlines()
    return f": {lines[0][:_SHOWN_CHARACTERS]}" if lines else ""


def prove(ctx: Context, unit: str, path: Path, probe: Probe) -> int:
    """Wait until the instance passes its health check: `count` good answers in a row over at least
    `span_seconds`, with its unit up and never restarted. Returns the number of answers.

    Raises OpError("unhealthy") on the deadline, as soon as the unit has failed, and after some
    seconds of one and the same answer that will not change by itself.
    """
    end = boottime() + probe.deadline_seconds
    good, since, wrong = 0, 0.0, Problem("no answer yet")
    steady, failure = _Steady(), _Failure(unit)
    while True:
        ctx.poll()
        problem = examine(path, probe)
        now = boottime()
        if problem:
            good, wrong = 0, problem
            failure.refuse(wrong.text)
            if steady.lasts(problem.steady, now):
                raise OpError("unhealthy", f"not healthy: {wrong.text}", wrong.hint)
        else:
            steady = _Steady()
            since = now if good == 0 else since
            good += 1
            if good >= probe.count and now - since >= probe.span_seconds:
                if failure.look("it answered, then its unit failed").is_up:
                    return good
                wrong = Problem("it answers, but its unit is not running")
        if now > end:
            message = f"not healthy after {probe.deadline_seconds:.0f} s: {wrong.text}"
            raise OpError("unhealthy", message, wrong.hint or _SLOW)
        ctx.progress("health", wrong.text)
        ctx.pause(_interval(probe))


class _Steady:
    """How long the same answer has come."""

    def __init__(self) -> None:
        self._status = 0
        self._since = 0.0

    def lasts(self, status: int, now: float) -> bool:
        """Whether this answer has come for long enough; 0: another attempt may be better."""
        if status != self._status:
            self._status, self._since = status, now
        return bool(status) and now - self._since >= _STEADY_SECONDS


def _interval(probe: Probe) -> float:
    spread = probe.span_seconds / max(1, probe.count - 1)
    return min(max(_POLL_SECONDS, spread / 2), 0.5)


class _Failure:
    """Notices that a unit fails. While its main process is there it has not."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._main_pid = 0

    def refuse(self, wrong: str) -> None:
        """Raises OpError("unhealthy")."""
        if not systemd.proc(self._main_pid, "stat"):
            self.look(wrong)

    def look(self, wrong: str) -> UnitState:
        """The unit's state. Raises OpError("unhealthy") if it has failed."""
        state = systemd.state(self._unit)
        self._main_pid = state.main_pid
        if state.has_failed:
            raise OpError("unhealthy", f"the new instance failed ({state.result}): {wrong}")
        return state


def wait_for_reload(ctx: Context, front: Callable[[], str]) -> None:
    """Wait until the new configuration answers: after a reload, old workers accept for a moment.

    Returns after some seconds even if it does not: the watch period decides then.
    """
    end = boottime() + _RELOAD_SECONDS
    while front() and boottime() < end:
        ctx.pause(_POLL_SECONDS)


def watch(
    ctx: Context,
    complaint: Callable[[], str],
    proofs: Sequence[Callable[[], str]] = (),
    *,
    seconds: float,
) -> None:
    """The watch period: for `seconds` after the switch, and until each of the `proofs` has nothing
    more to wait for, `complaint` must find no problem. Raises OpError("unhealthy"), and what a
    proof raises."""
    end, waiting = boottime() + seconds, list(proofs)
    while True:
        problem = complaint()
        if problem:
            raise OpError("unhealthy", "after the switch: " + problem)
        lacks = {proof: proof() for proof in waiting}
        waiting = [proof for proof in waiting if lacks[proof]]
        left = end - boottime()
        if left <= 0 and not waiting:
            return
        told = f"{left:.0f} s left" if left > 0 else lacks[waiting[0]]
        ctx.progress("probation", told)
        ctx.pause(min(0.2, max(0.01, left)) if left > 0 else 0.2)
