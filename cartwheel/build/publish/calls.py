"""Sends one request to the store, with a deadline; returns any answer."""

from __future__ import annotations

import http.client
import time
import urllib.error
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cartwheel.background import is_abandoned
from cartwheel.build.publish.fleet_store import Login
from cartwheel.errors import BuildError
from cartwheel.events import Emit, Event
from cartwheel.host.system import http_request
from cartwheel.host.system.transfer import Transfer

STEP = "publish"
SLOWEST_BYTES_PER_SECOND = 4096  # a line that carries less counts as stuck
_CHUNK_BYTES = 128 << 10
_PAGE_BYTES = 64 << 20  # the page of a project with very many files
_OK = range(200, 300)


@dataclass(frozen=True)
class Answer:
    """The store's answer. `url` is the final one, after redirects."""

    url: str
    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def is_ok(self) -> bool:
        return self.status in _OK

    def refused(self, what: str) -> BuildError:
        """The error for an unexpected answer."""
        said = self.body.decode(errors="replace").strip()
        line = f"{http_request.shown(self.url)} answers {self.status} {self.reason}".rstrip()
        return BuildError("store-refuses", f"{line} {what}", detail=said)


@dataclass(frozen=True)
class Body:
    """A file to send, with bytes before and after it."""

    path: Path
    emit: Emit
    timeout_seconds: float
    head: bytes = b""
    tail: bytes = b""

    @property
    def size_bytes(self) -> int:
        return len(self.head) + self.path.stat().st_size + len(self.tail)

    def __iter__(self) -> Iterator[bytes]:
        """Reports progress. Raises BuildError if it takes too long, or nothing waits for it."""
        size, sent = self.size_bytes, 0
        transfer = Transfer(size, "sent")
        end = time.monotonic() + self.timeout_seconds + size / SLOWEST_BYTES_PER_SECOND
        for chunk in self._chunks():
            yield chunk
            sent += len(chunk)
            if time.monotonic() > end or is_abandoned():
                raise BuildError(
                    "deadline", f"{sent / 1e6:.1f} MB were sent, then it took too long"
                )
            text = transfer.report(sent)
            if text is not None:
                self.emit(Event(STEP, "progress", text))

    def _chunks(self) -> Iterator[bytes]:
        yield self.head
        with self.path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
        yield self.tail


def call(
    method: str,
    url: str,
    login: Login | None,
    timeout_seconds: float,
    *,
    body: Body | None = None,
    headers: Mapping[str, str] | None = None,
    stay: bool = False,
) -> Answer:
    """Send a request; any answer is accepted. A request with a body follows no redirect, which
    would send it elsewhere; one with `stay` follows none to another host.

    Raises BuildError("store-unreachable") if there is no answer.
    """
    given = dict(headers or {})
    if body is not None:
        given = {"Content-Type": "application/octet-stream", **given}
        given["Content-Length"] = str(body.size_bytes)
    try:
        known = (login[0], login[1].reveal()) if login else None
        request = http_request.request(url, known, method=method, data=body, headers=given)
        try:
            opener = http_request.opener(follow=body is None, stay=stay)
            opened = opener.open(request, timeout=timeout_seconds)
        except urllib.error.HTTPError as error:
            opened = error
        with opened:
            return _answer(opened, timeout_seconds)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BuildError(
            "store-unreachable",
            f"{http_request.shown(url)} cannot be reached: {http_request.reason(error)}",
        ) from error


def _answer(opened: http.client.HTTPResponse, timeout_seconds: float) -> Answer:
    """An HTTPError is read in the same way."""
    body, end = bytearray(), time.monotonic() + 2 * timeout_seconds
    while data := opened.read1(_CHUNK_BYTES):
        body += data
        if time.monotonic() > end or len(body) > _PAGE_BYTES:
            raise OSError("its answer is too large")
    return Answer(opened.geturl(), opened.status, opened.reason or "", opened.headers, bytes(body))
