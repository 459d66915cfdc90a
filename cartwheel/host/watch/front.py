"""Ask an app's site for its health as a visitor does, through the web server on loopback, and see
the certificate that it shows."""

from __future__ import annotations

import errno
import re
import socket
import time

SECONDS = 3.0
# By this the site's log tells our own requests from those of visitors.
AGENT = "cartwheel-look"
_MOST_BYTES = 16 << 10
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_TO_HTTPS = re.compile(rb"\r\nlocation: *https://", re.IGNORECASE)
# The rules of a path (users, addresses, rates) may say this to a visitor from here.
_NOT_FOR_US = (401, 403, 429)


class Question:
    """`secure`: by TLS. `by_proxy`: visitors come by HTTPS, which ends before this host."""

    def __init__(
        self, port: int, host: str, path: str, status: int, *, secure: bool, by_proxy: bool
    ) -> None:
        self.port = port
        self.host = host
        self.path = path
        self.status = status
        self.secure = secure
        self.by_proxy = by_proxy


def ask(asked: Question, seconds: float = SECONDS) -> tuple[str | None, tuple[float, float] | None]:
    """One request; the time limit is for all of it. What is wrong ("" for nothing, None where that
    is not known), and when the certificate begins and ends (seconds since the epoch)."""
    end, dates = time.monotonic() + seconds, None
    try:
        with socket.create_connection(("127.0.0.1", asked.port), timeout=seconds) as plain:
            if not asked.secure:
                return _judged(asked, _exchanged(plain, asked, end)), None
            secure, certificate = _secured(plain, asked.host)
            dates = validity(certificate)
            with secure:
                return _judged(asked, _exchanged(secure, asked, end)), dates
    except socket.timeout:  # TimeoutError from Python 3.10 on
        return f"{asked.path} did not answer within {seconds:g} s", dates
    except OSError as error:
        return _no_answer(asked, error), dates


def _no_answer(asked: Question, error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return f"nothing listens on port {asked.port}"
    return f"{asked.path} has no answer: {error.strerror or error}"


def _secured(plain: socket.socket, host: str) -> tuple[socket.socket, bytes]:
    """The same connection by TLS, and the certificate that is shown."""
    import ssl  # late: it takes longer than everything else here

    # Whether visitors trust the certificate is asked from outside.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    secure = context.wrap_socket(plain, server_hostname=host.partition(":")[0] or None)
    return secure, secure.getpeercert(binary_form=True) or b""


def shown(port: int, host: str, seconds: float = SECONDS) -> tuple[float, float] | None:
    """When the certificate begins and ends that is shown on this port; None where none is."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as plain:
            secure, certificate = _secured(plain, host)
            secure.close()
            return validity(certificate)
    except OSError:
        return None


def _exchanged(sock: socket.socket, asked: Question, end: float) -> bytes:
    """The beginning of the answer: all of its headers."""
    lines = (
        f"GET {asked.path} HTTP/1.1",
        f"Host: {asked.host}",
        f"User-Agent: {AGENT}",
        "Accept: */*",
        "Connection: close",
    )
    sock.sendall("".join(line + "\r\n" for line in (*lines, "")).encode("utf-8", "replace"))
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _MOST_BYTES:
        left = end - time.monotonic()
        if left <= 0:
            raise socket.timeout
        sock.settimeout(left)
        piece = sock.recv(_MOST_BYTES)
        if not piece:
            break
        answer += piece
    return answer


def _judged(asked: Question, answer: bytes) -> str | None:
    found = _STATUS.match(answer)
    if found is None:
        return f"{asked.path} has no answer: the connection ended"
    status = int(found[1])
    if status == asked.status:
        return ""
    if status in _NOT_FOR_US:
        return None
    # The app wants HTTPS of a visitor who came by plain HTTP: it answers, so it is well.
    if asked.by_proxy and not asked.secure and 300 <= status < 400 and _TO_HTTPS.search(answer):
        return ""
    return f"{asked.path} answered {status} instead of {asked.status}"


def validity(certificate: bytes) -> tuple[float, float] | None:
    """When a certificate begins and ends, from its DER (RFC 5280, 4.1); None if it is none."""
    try:
        _tag, outer = _value(certificate)
        _tag, rest = _value(outer)
        tag, _version, after = _first(rest)
        if tag != 0xA0:  # a certificate of version 1 has no version
            after = rest
        for _skipped in ("serialNumber", "signature", "issuer"):
            _tag, _text, after = _first(after)
        _tag, both = _value(after)
        tag, text, after = _first(both)
        begin = _time(tag, text)
        tag, text, _after = _first(after)
        return begin, _time(tag, text)
    except (ValueError, IndexError):
        return None


def _time(tag: int, text: bytes) -> float:
    """Raises ValueError."""
    from datetime import datetime, timezone

    digits = text.decode("ascii")
    if tag == 0x17:  # UTCTime has two digits of the year, until 2049
        digits = ("19" if digits >= "5" else "20") + digits
    numbers = [int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, 14, 2))]
    year, month, day, hour, minute, second = numbers
    return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()


def _value(data: bytes) -> tuple[int, bytes]:
    """The tag and the value of the first element."""
    tag, value, _after = _first(data)
    return tag, value


def _first(data: bytes) -> tuple[int, bytes, bytes]:
    """The first element: its tag, its value, and what comes after it. Raises ValueError."""
    size, at = data[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(data[2:at], "big")
    if len(data) < at + size:
        raise ValueError("it ends too early")
    return data[0], data[at : at + size], data[at + size :]
