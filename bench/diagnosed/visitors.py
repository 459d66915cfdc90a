"""Visitors of several pages, each client from an address of its own; see `cartwheel_lab.load`.

It runs alone inside a host's network (`cartwheel_lab.visitors.visiting_by`). Any status that is not
200 is a failure; an answer that takes longer than `patience_seconds` is one too.
"""

from __future__ import annotations

import http.client
import random
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cartwheel_lab.load import Tally, program, side_by_side

_OK = 200


@dataclass(frozen=True)
class Page:
    """`clients` visitors who ask for one path, one request at a time. `*` in it is a number.
    `size`: they send that many bytes. `address`: all come from there."""

    path: str
    clients: int = 1
    pause_seconds: float = 0.1
    size: int = 0
    address: str = ""
    patience_seconds: float = 5.0


@dataclass(frozen=True)
class Plan:
    """All visitors of a site."""

    pages: tuple[Page, ...]
    seconds: float = 300.0
    host: str = "localhost"
    tls: bool = False


def run(wishes: dict[str, Any], stop: threading.Event, ready: Callable[[], None]) -> Tally:
    pages = [Page(**one) for one in wishes.pop("pages")]
    plan = Plan(tuple(pages), **wishes)
    tally = Tally()
    clients: list[tuple[str, Callable[[], None]]] = []
    for number, page in enumerate(pages):
        for each in range(page.clients):
            address = page.address or f"127.0.{10 + number}.{1 + each % 250}"
            clients.append((page.path, _client(plan, page, address, tally, stop)))
    side_by_side(clients, tally, plan.seconds, stop, ready)
    return tally


def _client(
    plan: Plan, page: Page, address: str, tally: Tally, stop: threading.Event
) -> Callable[[], None]:
    def visit() -> None:
        while not stop.is_set():
            began = time.monotonic()
            try:
                status = _status(plan, page, address)
            except (OSError, http.client.HTTPException) as error:
                tally.bad(page.path, f"{type(error).__name__}: {error}")
            else:
                if status == _OK:
                    tally.good(page.path, time.monotonic() - began, "", "", late=False)
                else:
                    tally.bad(page.path, f"status {status}")
            stop.wait(page.pause_seconds)

    return visit


def _status(plan: Plan, page: Page, address: str) -> int:
    line = _line(plan, page, address)
    path = page.path.replace("*", str(random.randint(1, 90)))
    try:
        line.request(
            "POST" if page.size else "GET",
            path,
            body=bytes(page.size) if page.size else None,
            headers={"Host": plan.host, "User-Agent": "a visitor", "Connection": "close"},
        )
        answer = line.getresponse()
        answer.read()
        return answer.status
    finally:
        line.close()


def _line(plan: Plan, page: Page, address: str) -> http.client.HTTPConnection:
    if not plan.tls:
        return http.client.HTTPConnection(
            "127.0.0.1", timeout=page.patience_seconds, source_address=(address, 0)
        )
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(
        "127.0.0.1", timeout=page.patience_seconds, context=trust, source_address=(address, 0)
    )


if __name__ == "__main__":
    sys.exit(program(run))
