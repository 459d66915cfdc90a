"""Download a file from the fleet's store: exactly the published bytes, or an error."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import queue
import random
import threading
import urllib.error
from typing import Union

from cartwheel.host.system import http_request
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.system.transfer import Transfer
from cartwheel.host.wire.download import Source

_CHUNK_BYTES = 256 << 10
_AHEAD = 4  # chunks that may wait for the disk
_POLL_SECONDS = 0.2
# A whole fleet asks at once: retry if a busy store refuses before the first byte.
_TRIES = 4
_BUSY = (429, 500, 502, 503, 504)
_PAUSE_SECONDS = 1.0


class Download:
    """A download, read like a file. A thread waits for the network, so that the reader notices at
    once when contact is lost or the deadline passes.

    `read` raises OpError
    (store-unreachable, store-refuses, store-damaged, deadline) or ContactLost.
    """

    def __init__(self, ctx: Context, source: Source, sha256: str) -> None:
        self.size_bytes = source.size_bytes
        self._ctx = ctx
        self._source = source
        self._wanted = sha256
        self._url = http_request.shown(source.url)
        self._digest = hashlib.sha256()
        self._got = 0
        self._transfer = Transfer(self.size_bytes, "fetched")
        self._chunks: "queue.Queue[Union[bytes, OpError]]" = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        threading.Thread(target=self._receive, name="fetch", daemon=True).start()

    def __enter__(self) -> "Download":
        return self

    def __exit__(self, *_failure: object) -> None:
        self._closed.set()

    def read(self, _size: int = -1) -> bytes:
        """The next bytes, any number; b"" at the end, after the digest was checked."""
        while True:
            self._ctx.poll()
            text = self._transfer.report(self._got)
            if text is not None:
                self._ctx.emit("", "progress", text)
            try:
                chunk = self._chunks.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(chunk, OpError):
                raise chunk
            self._check(chunk)
            return chunk

    def _check(self, chunk: bytes) -> None:
        self._got += len(chunk)
        self._digest.update(chunk)
        if self._got > self.size_bytes or (not chunk and self._digest.hexdigest() != self._wanted):
            raise OpError("store-damaged", f"{self._url} differs from what was published")

    # -- the thread

    def _receive(self) -> None:
        try:
            self._fetch()
            self._give(b"")
        except OpError as error:
            self._give(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = f"{self._url} cannot be fetched: {http_request.reason(error)}"
            self._give(OpError("store-unreachable", why))

    def _fetch(self) -> None:
        with self._open() as answer:
            received = 0
            for chunk in iter(lambda: answer.read(_CHUNK_BYTES), b""):
                received += len(chunk)
                if not self._give(chunk):
                    return
            promised = answer.headers.get("Content-Length")
            if promised is not None and received < int(promised):  # urllib does not report it
                raise OSError(f"it ended after {received} of {promised} bytes")

    def _open(self) -> http.client.HTTPResponse:
        source, left = self._source, _TRIES
        login = (source.login[0], source.login[1].reveal()) if source.login else None
        request = http_request.request(source.url, login)
        while True:
            left -= 1
            try:
                answer: http.client.HTTPResponse = http_request.opener().open(
                    request, timeout=source.timeout_seconds
                )
                return answer
            except urllib.error.HTTPError as error:
                error.close()
                if error.code not in _BUSY or not left:
                    raise _refused(self._url, error) from error
            except (OSError, http.client.HTTPException):
                if not left:
                    raise
            some = random.uniform(0.5, 1.5)  # noqa: S311 - a pause, no secret
            if self._closed.wait(_PAUSE_SECONDS * some):
                raise OSError("it was cancelled")

    def _give(self, item: Union[bytes, OpError]) -> bool:
        """Pass it to the reader; False if nobody reads any more."""
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._chunks.put(item, timeout=_POLL_SECONDS)
                return True
        return False


def _refused(url: str, error: urllib.error.HTTPError) -> OpError:
    slug = "store-unreachable" if error.code in _BUSY else "store-refuses"
    return OpError(slug, f"{url} answers {http_request.status(error)}")
