"""Load for a site by websockets: how each was closed, and how soon it was open again.

It runs like `cartwheel_lab.load`, and prints the same summary, with how the connections ended. Each
client keeps one websocket: the application names its release, and then repeats each message. A
client whose websocket is closed opens it again at once, as a page in a browser does.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from cartwheel_lab.load import BadAnswerError, Tally, program, release_in, side_by_side

_PATIENCE_SECONDS = 30.0
_KIND = "websocket"
_CUT = "cut"  # without a code
CUT_ASKING = "cut while a message was under way"


@dataclass(frozen=True)
class Plan:
    """As in `cartwheel_lab.load.Plan`, with `clients` that have one websocket each."""

    address: str = "127.0.0.1"
    port: int = 80
    host: str = "localhost"
    tls: bool = False
    seconds: float = 60.0
    clients: int = 4
    path: str = "/socket"
    pause_seconds: float = 0.05
    late_seconds: float = 1.0
    releases: Sequence[str] = ()
    release_pattern: str = "^([^:]+)"


@dataclass
class Sockets(Tally):
    """The results, with the code of each end, and the seconds from an end until a release was heard
    again. A server may close a connection on which something arrives at this moment; then the code
    may be lost (RFC 9293, 3.6.1)."""

    codes: Counter[str] = field(default_factory=Counter)
    reopened: list[float] = field(default_factory=list)

    def ended(self, code: str) -> None:
        with self.lock:
            self.codes[code] += 1

    def open_again(self, seconds: float) -> None:
        with self.lock:
            self.reopened.append(seconds)

    def summary(self) -> dict[str, Any]:
        reopened = [round(one, 3) for one in self.reopened]
        return {**super().summary(), "codes": dict(self.codes), "reopened": reopened}


def run(plan: Plan, stop: threading.Event, ready: Callable[[], None]) -> Sockets:
    """Load the site until `stop` or `plan.seconds`."""
    tally = Sockets()
    clients = [(_KIND, partial(_client, plan, tally, stop))] * plan.clients
    side_by_side(clients, tally, plan.seconds, stop, ready)
    return tally


def _client(plan: Plan, tally: Sockets, stop: threading.Event) -> None:
    """In a loop of its own: a TLS connection may not be read and written by two threads, as the
    library's client without asyncio does."""
    asyncio.run(_visit(plan, tally, stop))


async def _visit(plan: Plan, tally: Sockets, stop: threading.Event) -> None:
    """One websocket after the other; each ends by the server, or at the client's own end."""
    closed_at: float | None = None
    while not stop.is_set():
        try:
            async with _opened(plan) as line:
                release_in(await _heard(line), plan.release_pattern, plan.releases)
                if closed_at is not None:
                    tally.open_again(time.monotonic() - closed_at)
                await _talk(plan, tally, stop, line)
        except ConnectionClosed as error:
            closed_at = time.monotonic()
            tally.ended(_code_of(error) or _CUT)
        except _ClosedAskingError as error:
            closed_at = time.monotonic()
            tally.ended(_code_of(error.why) or CUT_ASKING)
        except (OSError, WebSocketException, BadAnswerError) as error:
            tally.bad(_KIND, f"{type(error).__name__}: {error}")
            await asyncio.sleep(plan.pause_seconds)


class _ClosedAskingError(Exception):
    """The connection was closed while a message was under way."""

    def __init__(self, why: ConnectionClosed) -> None:
        super().__init__(str(why))
        self.why = why


def _code_of(error: ConnectionClosed) -> str:
    return str(error.rcvd.code) if error.rcvd else ""


def _opened(plan: Plan) -> connect:
    context = None
    if plan.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return connect(
        f"{'wss' if plan.tls else 'ws'}://{plan.host}{plan.path}",
        host=plan.address,
        port=plan.port,
        ssl=context,
        proxy=None,
        ping_interval=None,
        open_timeout=_PATIENCE_SECONDS,
    )


async def _talk(plan: Plan, tally: Sockets, stop: threading.Event, line: ClientConnection) -> None:
    """Send a message, and wait for its answer. Raises ConnectionClosed at once when it is closed,
    also in a pause."""
    number = 0
    while not stop.is_set():
        number += 1
        began = time.monotonic()
        try:
            await line.send(f"message {number}")
            text = await _heard(line)
        except ConnectionClosed as error:
            raise _ClosedAskingError(error) from error
        stall = time.monotonic() - began
        release = release_in(text, plan.release_pattern, plan.releases)
        if not text.endswith(f": message {number}"):
            raise BadAnswerError(f"another message than {number}: {text[:100]}")
        tally.good(_KIND, stall, release, "", late=stall > plan.late_seconds)
        try:
            more = await asyncio.wait_for(line.recv(), plan.pause_seconds)
        except TimeoutError:
            continue
        raise BadAnswerError(f"nobody asked for {more!r}")


async def _heard(line: ClientConnection) -> str:
    return str(await asyncio.wait_for(line.recv(), _PATIENCE_SECONDS))


if __name__ == "__main__":
    sys.exit(program(lambda plan, stop, ready: run(Plan(**plan), stop, ready)))
