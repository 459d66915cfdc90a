"""Ask a site as a visitor would: connect, TLS with verification, one GET, within one deadline."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Optional
from urllib.parse import urlsplit

from cartwheel_monitor import __name__ as _agent
from cartwheel_monitor.language import later
from cartwheel_monitor.watch_list import Site

_READ_BYTES = 64 << 10


@dataclass(frozen=True)
class Answer:
    """A site's answer. `problem`: "" for a good one. `until`, `valid_from`: of its certificate."""

    at: float
    seconds: float
    problem: str
    status: Optional[int] = None
    until: Optional[float] = None
    valid_from: Optional[float] = None


def ask(site: Site, timeout: float) -> Answer:
    """One request; it ends within the timeout, also where a server sends a byte now and then. Only
    the system's look-up of a name may take longer, and then no answer is a good one."""
    at, began = time.time(), time.monotonic()
    connection = _Connection(site, timeout)
    # A timeout of a socket begins anew with each byte. This one does not.
    guard = threading.Timer(timeout, connection.cut)
    guard.daemon = True
    guard.start()
    status, problem = None, ""
    try:
        status = connection.get()
        if connection.was_cut:
            problem = _late(timeout)
        elif status not in site.status:
            problem = later("it answered {status}", status=status)
    except (OSError, http.client.HTTPException, ValueError) as error:
        problem = _text(error, timeout, late=connection.was_cut)
    finally:
        guard.cancel()
        connection.close()
    seconds = time.monotonic() - began
    return Answer(at, seconds, problem, status, connection.until, connection.valid_from)


class _Connection:
    def __init__(self, site: Site, timeout: float) -> None:
        parts = urlsplit(site.url)
        self._secure = parts.scheme == "https"
        self._name = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._site, self._timeout = site, timeout
        self._end = time.monotonic() + timeout
        self._socket: Optional[socket.socket] = None
        self.was_cut = False
        self.until: Optional[float] = None
        self.valid_from: Optional[float] = None

    def get(self) -> int:
        self._socket = self._connected()
        if self._secure:
            context = ssl.create_default_context()
            # From Python 3.13 on it is set, and refuses private CAs that browsers take.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if self._site.ca:
                context.load_verify_locations(cadata=self._site.ca)
            secure = context.wrap_socket(
                self._socket, server_hostname=self._name, do_handshake_on_connect=False
            )
            self._socket = secure  # before the handshake, which may hang
            self._refuse_late()
            secure.do_handshake()
            shown = secure.getpeercert() or {}
            self.until = _time(shown.get("notAfter"))
            self.valid_from = _time(shown.get("notBefore"))
        self._refuse_late()
        client = http.client.HTTPConnection(self._name, self._port, timeout=self._timeout)
        client.sock = self._socket
        default = 443 if self._secure else 80
        host = self._name if self._port == default else f"{self._name}:{self._port}"
        headers = {"Host": host, "User-Agent": _agent, "Connection": "close", "Accept": "*/*"}
        client.request("GET", self._path, headers=headers)
        answer = client.getresponse()
        answer.read(_READ_BYTES)
        return answer.status

    def _connected(self) -> socket.socket:
        """To the first address that takes it; the time is shared among all that are left. Raises
        OSError."""
        found = socket.getaddrinfo(self._name, self._port, type=socket.SOCK_STREAM)
        every = list(dict.fromkeys(str(each[4][0]) for each in found))
        for place, address in enumerate(every):
            left = self._end - time.monotonic()
            if left <= 0:
                break
            with suppress(*(() if address is every[-1] else (OSError,))):
                pause = left / (len(every) - place)
                made = socket.create_connection((address, self._port), pause)
                made.settimeout(self._timeout)
                return made
        raise socket.timeout

    def _refuse_late(self) -> None:
        if self.was_cut:
            raise socket.timeout

    def cut(self) -> None:
        self.was_cut = True
        if self._socket is not None:
            with suppress(OSError):  # not that of an SSLSocket, which forgets its state
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


def _late(timeout: float) -> str:
    return later("no answer within {seconds:g} s", seconds=timeout)


def _time(text: object) -> Optional[float]:
    return float(ssl.cert_time_to_seconds(text)) if isinstance(text, str) else None


def _text(error: BaseException, timeout: float, *, late: bool) -> str:
    if late or isinstance(error, (socket.timeout, TimeoutError)):
        return _late(timeout)
    if isinstance(error, ssl.SSLCertVerificationError):
        return later("its certificate is not valid: {why}", why=error.verify_message)
    if isinstance(error, socket.gaierror):
        return later("its name has no address: {why}", why=error.strerror)
    if isinstance(error, http.client.RemoteDisconnected):
        return later("it closed the connection without an answer")
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())
