"""SSH connections to watched hosts, kept open; each look is one command on one of them."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict, Optional, Tuple

import paramiko

from cartwheel.host.wire.codec import from_disk
from cartwheel.host.wire.look import PROTOCOL, HostLook
from cartwheel_monitor.language import later
from cartwheel_monitor.watch_list import Host

USER = "cartwheel-look"
_MOST_BYTES = 1 << 20
_NEARLY_SECONDS = 0.1
# A host with a field of this size is broken, or wants to break the monitor's sums.
_MOST = 1e24
_MOST_DIGITS = 24
_SHOWN = 20
_CURSOR = re.compile(r"[!-~]{0,4096}")  # it becomes a part of the next command
_KEEPALIVE_SECONDS = 15
# Linux: how long what was sent may stay unacknowledged before the connection is dead (tcp(7)).
_USER_TIMEOUT_MS = 10_000
# How often paramiko's thread for a connection wakes up while nothing arrives. Its usual tenth
# of a second is two fifths of the cost of a hundred hosts (0.052 of a core instead of 0.031).
_LOOK_UP_SECONDS = 1.0

# paramiko logs the errors that it raises; without a handler they go to standard error, and into the
# journal, with each try of a host that is down.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class LookError(Exception):
    """A host could not be looked into; the text says why, without secrets."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        """The text, for any language (language.said)."""


class Sessions:
    """One connection for each host, made when it is needed."""

    def __init__(self, key: Path) -> None:
        self._key = key
        self._open: Dict[Tuple[str, str, int], paramiko.Transport] = {}
        self._lock = threading.Lock()

    def look(self, host: Host, cursor: str, timeout: float) -> HostLook:
        """The host's answer since the cursor. Raises LookError."""
        until = time.monotonic() + timeout
        try:
            kept = self._kept(host)
            if kept is not None:
                # It may have died meanwhile; that is no trouble of the host.
                with suppress(EOFError, OSError, paramiko.SSHException):
                    return _asked(kept, cursor, until)
                self.forget(host)
            return _asked(self._connected(host, until), cursor, until)
        except LookError:
            self.forget(host)
            raise
        except (EOFError, OSError, paramiko.SSHException, ValueError, RecursionError) as error:
            self.forget(host)
            # paramiko has other errors for that, one for each place where it waits.
            is_late = time.monotonic() >= until - _NEARLY_SECONDS
            raise LookError(_text(error, timeout, is_late=is_late)) from None

    def forget(self, host: Host) -> None:
        """Close the host's connection, if there is one."""
        self._forget(host.place)

    def close(self) -> None:
        """Close all connections."""
        for place in list(self._open):
            self._forget(place)

    def _forget(self, place: Tuple[str, str, int]) -> None:
        with self._lock:
            transport = self._open.pop(place, None)
        if transport is not None:
            _close(transport)

    def _kept(self, host: Host) -> Optional[paramiko.Transport]:
        with self._lock:
            found = self._open.get(host.place)
        return found if found is not None and found.is_active() else None

    def _connected(self, host: Host, until: float) -> paramiko.Transport:
        raw = socket.create_connection((host.address or host.name, host.port), _left(until))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
        transport = paramiko.Transport(raw)
        try:
            transport.banner_timeout = transport.auth_timeout = _left(until)
            wanted = {(kind, key) for kind, _, key in (one.partition(" ") for one in host.keys)}
            kinds = {kind for kind, _key in wanted}
            options = transport.get_security_options()
            options.key_types = [
                kind for kind in options.key_types if _family(kind) in kinds
            ] or options.key_types
            transport.start_client(timeout=_left(until))
            given = transport.get_remote_server_key()
            if (given.get_name(), given.get_base64()) not in wanted:
                raise LookError(later("its host key has changed"))
            transport.auth_publickey(
                USER, paramiko.Ed25519Key.from_private_key_file(str(self._key))
            )
            transport.set_keepalive(_KEEPALIVE_SECONDS)
            raw.settimeout(_LOOK_UP_SECONDS)
        except BaseException:
            _close(transport)
            raise
        with self._lock:
            self._open[host.place] = transport
        return transport


def _asked(transport: paramiko.Transport, cursor: str, until: float) -> HostLook:
    channel = transport.open_session(timeout=_left(until))
    try:
        channel.settimeout(_left(until))
        # paramiko waits for the reply without a timeout.
        guard = threading.Timer(_left(until), _close, (transport,))
        guard.daemon = True
        guard.start()
        try:
            channel.exec_command(f"since {cursor}" if cursor else "state")
        finally:
            guard.cancel()
        answer = b""
        while True:
            channel.settimeout(_left(until))
            part = channel.recv(1 << 16)
            if not part:
                break
            answer += part
            if len(answer) > _MOST_BYTES:
                raise LookError(later("its answer is too long"))
        if not answer:
            said = channel.recv_stderr(1000).decode("utf-8", "replace").strip()
            raise LookError(
                later("it gave no answer: {said}", said=said)
                if said
                else later("it gave no answer")
            )
    finally:
        channel.close()
    return _read(answer)


def _read(answer: bytes) -> HostLook:
    """Numbers that no host has are refused: sums with them fail. Raises LookError, ValueError."""
    known = json.loads(answer, parse_float=_float, parse_int=_int, parse_constant=_float)
    found = from_disk(HostLook, known)
    if found.protocol < PROTOCOL:
        raise LookError(later("its look is of an earlier version: `fab monitor.install` renews it"))
    if _CURSOR.fullmatch(found.cursor) is None:
        raise LookError(later("its answer ends with a cursor that is none"))
    return found


def _no_number(text: str) -> str:
    return later("its answer has a number that no host has: {number}", number=text)


def _float(text: str) -> float:
    value = float(text)
    if not abs(value) < _MOST:  # also what is no number (nan)
        raise LookError(_no_number(text[:_SHOWN]))
    return value


def _int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise LookError(_no_number(f"{text[:_SHOWN]}..."))
    return int(text)


def _close(transport: paramiko.Transport) -> None:
    """Close it at once, without waiting for paramiko's thread to wake up by itself."""
    with suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)
    transport.close()


def _family(kind: str) -> str:
    """The key type that an algorithm for signatures belongs to (RFC 8332)."""
    return "ssh-rsa" if kind.startswith("rsa-sha2-") else kind


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise socket.timeout("timed out")
    return left


def _text(error: BaseException, timeout: float, *, is_late: bool) -> str:
    if is_late or isinstance(error, (socket.timeout, TimeoutError)):
        return later("no answer within {seconds:g} s", seconds=timeout)
    if isinstance(error, paramiko.AuthenticationException):
        return later("it refuses the monitor's key")
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())
