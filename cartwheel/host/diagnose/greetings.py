"""Greet a service so that it says whether it serves, without a login and without harm.

No password is sent. MySQL counts broken handshakes for each host, and locks it out after
max_connect_errors of them. A refused login is none (its host cache counts that apart): so a
handshake is always brought to its end, by a login that is refused.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import time
from dataclasses import dataclass
from typing import Callable, Dict, Tuple, Union

from cartwheel.host.diagnose import addresses
from cartwheel.host.diagnose.addresses import Endpoint

_WHO = "cartwheel-diagnose"  # how a server's log names us
_MOST_BYTES = 64 << 10
_MOST_PACKETS, _MOST_MESSAGES = 6, 60


@dataclass(frozen=True)
class Answer:
    """`how` and `problem` as in `wire.diagnosis.Service`; both "" where it serves."""

    how: str = ""
    problem: str = ""


WELL = Answer()


class Line:
    """A connection that reads whole messages until a deadline of time.monotonic()."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self.connection, self.end = connection, end
        self._read = b""

    def send(self, data: bytes) -> None:
        self._patient()
        self.connection.sendall(data)

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises EOFError where it ends before."""
        while len(self._read) < count:
            self._more()
        taken, self._read = self._read[:count], self._read[count:]
        return taken

    def line(self) -> str:
        """A line without its end."""
        while b"\n" not in self._read:
            if len(self._read) > _MOST_BYTES:
                raise EOFError
            self._more()
        line, _newline, self._read = self._read.partition(b"\n")
        return line.decode("utf-8", "replace").rstrip("\r")

    def secure(self, context: ssl.SSLContext, name: str) -> None:
        """Go on with TLS."""
        self._patient()
        self.connection = context.wrap_socket(self.connection, server_hostname=name or None)

    def _more(self) -> None:
        self._patient()
        data = self.connection.recv(4096)
        if not data:
            raise EOFError
        self._read += data

    def _patient(self) -> None:
        left = self.end - time.monotonic()
        if left <= 0:
            raise socket.timeout
        self.connection.settimeout(left)


def greet(one: Endpoint, line: Line, authorities: Tuple[str, ...] = ()) -> Answer:
    """What it answers to the greeting of its kind."""
    try:
        if one.tls:
            is_http = one.kind in (addresses.HTTP, addresses.SEARCH)
            # A database's client does not check certificates unless it is told to.
            line.secure(_checking(authorities) if is_http else _trusting(), one.host)
        speak = _KINDS.get(one.kind)
        return speak(one, line) if speak else WELL
    except (EOFError, OSError) as error:
        return _failure(error)
    except (struct.error, ValueError):
        return WELL  # it speaks another language, which its clients may understand


def _failure(error: Union[EOFError, OSError]) -> Answer:
    """What the end of a connection means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Answer("tls", f"its certificate is not valid: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return Answer("tls", f"no TLS: {(error.reason or str(error)).replace('_', ' ').lower()}")
    # The first is what a deadline raises before Python 3.10, the second is the kernel's.
    if isinstance(error, (socket.timeout, TimeoutError)):
        return Answer("silent", "takes the connection, and does not answer")
    if isinstance(error, (EOFError, ConnectionError)):
        return Answer("ended", "closes the connection at once")
    return Answer("unreachable", (error.strerror or str(error)).lower())


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _checking(authorities: Tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for path in authorities:
        try:
            context.load_verify_locations(path)
        except OSError:
            continue
    return context


# --- databases ----------------------------------------------------------------------------


_SSL_REQUEST = struct.pack("!II", 8, 80877103)
# These say that nobody, or not this host, is served (PostgreSQL's appendix of error codes).
_REFUSALS = ("53", "57P", "28000", "3D000", "58", "XX")


def _postgres(one: Endpoint, line: Line) -> Answer:
    """Ask for a session, and leave where it asks for the password."""
    if not one.path:
        line.send(_SSL_REQUEST)
        answer = line.take(1)
        if answer == b"S":
            line.secure(_trusting(), one.host)
        elif answer != b"N":
            return WELL  # no PostgreSQL: something else that its clients may understand
    if not one.user:
        return WELL
    words = ["user", one.user, "database", one.database or one.user, "application_name", _WHO]
    body = struct.pack("!I", 196608) + b"".join(word.encode() + b"\0" for word in words) + b"\0"
    line.send(struct.pack("!I", len(body) + 4) + body)
    for _message in range(_MOST_MESSAGES):
        kind, size = struct.unpack("!cI", line.take(5))
        text = line.take(max(0, min(size - 4, _MOST_BYTES)))
        if kind == b"E":
            return _postgres_error(text)
        # It asks for a password (all but 0), or is ready for a statement.
        if kind == b"Z" or (kind == b"R" and text[:4] != b"\0\0\0\0"):
            break
    line.send(b"X" + struct.pack("!I", 4))
    return WELL


def _postgres_error(text: bytes) -> Answer:
    parts = text.decode("utf-8", "replace").split("\0")
    fields = {part[0]: part[1:] for part in parts if part}
    message, code = fields.get("M", "it refuses"), fields.get("C", "")
    # We are root here, and no user of the database: that it wants to see another is no problem.
    if "authentication failed" in message or not code.startswith(_REFUSALS):
        return WELL
    return Answer("denied", f"answers: {message}")


_LONG_PASSWORD, _PROTOCOL_41, _SECURE, _PLUGINS = 0x1, 0x200, 0x8000, 0x80000
_NATIVE = b"mysql_native_password"


def _mysql(_one: Endpoint, line: Line) -> Answer:
    """Read its greeting, and end the handshake by a login that is refused."""
    _number, first = _packet(line)
    if first[:1] == b"\xff":
        return Answer("denied", f"answers: {_mysql_error(first)}")
    if first[:1] != b"\n":
        return WELL  # another protocol than the tenth: nobody knows how to end it well
    flags = _LONG_PASSWORD | _PROTOCOL_41 | _SECURE | _PLUGINS
    body = struct.pack("<IIB23x", flags, 1 << 24, 33) + _WHO.encode() + b"\0"
    _send_packet(line, 1, body + b"\0" + _NATIVE + b"\0")
    for _packet_number in range(_MOST_PACKETS):
        number, answer = _packet(line)
        if answer[:1] == b"\xfe":  # another way to log in: an empty password there
            native = answer[1:].startswith(_NATIVE)
            _send_packet(line, number + 1, b"" if native else b"\0")
        elif answer[:1] == b"\0":  # anybody may log in
            _send_packet(line, 0, b"\x01")
            return WELL
        elif answer[:1] == b"\xff":
            code = struct.unpack("<H", answer[1:3])[0]
            refused = code in _MYSQL_REFUSALS
            return Answer("denied", f"answers: {_mysql_error(answer)}") if refused else WELL
    return WELL


# Too many connections, shutting down, the host is blocked, the host is not allowed.
_MYSQL_REFUSALS = (1040, 1053, 1129, 1130)


def _packet(line: Line) -> Tuple[int, bytes]:
    head = line.take(4)
    return head[3], line.take(head[0] | head[1] << 8 | head[2] << 16)


def _send_packet(line: Line, number: int, body: bytes) -> None:
    line.send(struct.pack("<I", len(body))[:3] + bytes([number & 255]) + body)


def _mysql_error(packet: bytes) -> str:
    text = packet[3:].decode("utf-8", "replace")
    return text[6:] if text.startswith("#") else text


# What answers with one of these serves; it only wants a password first.
_REDIS_WELL = ("-NOAUTH", "-NOPERM", "-WRONGPASS", "-ERR operation not permitted", "-ERR unknown")


def _redis(_one: Endpoint, line: Line) -> Answer:
    line.send(b"PING\r\n")
    answer = line.line()
    if answer.startswith("-") and not answer.startswith(_REDIS_WELL):
        return Answer("denied", f"answers: {answer[1:]}")
    return WELL


# --- others -------------------------------------------------------------------------------


def _memcached(_one: Endpoint, line: Line) -> Answer:
    line.send(b"version\r\n")
    line.line()
    return WELL


def _nats(_one: Endpoint, line: Line) -> Answer:
    line.line()
    return WELL


def _smtp(_one: Endpoint, line: Line) -> Answer:
    """Some greet only after a while, to keep spam away."""
    try:
        answer = line.line()
    except socket.timeout:
        return WELL
    line.send(b"QUIT\r\n")
    if answer.startswith(("4", "5")):
        return Answer("denied", f"answers: {answer}")
    return WELL


_GATEWAY = re.compile(r"HTTP/\d(?:\.\d)? (502|503|504)\b")


def _http(one: Endpoint, line: Line) -> Answer:
    """Ask for the head of its first page; not for the URL, which may do something."""
    lines = ("HEAD / HTTP/1.1", f"Host: {one.address}", f"User-Agent: {_WHO}", "Connection: close")
    line.send("\r\n".join((*lines, "", "")).encode("ascii", "replace"))
    found = _GATEWAY.match(line.line())
    return Answer("denied", f"answers {found.group(1)}") if found else WELL


_KINDS: "Dict[str, Callable[[Endpoint, Line], Answer]]" = {
    addresses.POSTGRES: _postgres,
    addresses.MYSQL: _mysql,
    addresses.REDIS: _redis,
    addresses.MEMCACHED: _memcached,
    addresses.NATS: _nats,
    addresses.SMTP: _smtp,
    addresses.HTTP: _http,
    addresses.SEARCH: _http,
}
