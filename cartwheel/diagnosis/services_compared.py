"""Whether what the app logged about a service is about one that the host tried itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartwheel.host.wire.diagnosis import Service, Sign

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# What a log's words name otherwise.
_KINDS = {"AMQP": "RabbitMQ", "SMTP": "the mail server", "Memcached": "memcached"}
_ANY = ("database", "service")
_UNNAMED = "(address not in the log)"
# These are no connection that fails: they are a trouble of their own.
_OWN_TROUBLE = (
    "lacks a table or column that the app uses",
    "lacks the database that the app uses",
    "lets statements wait for locks too long",
    "has no room",
    "is read-only",
    "is damaged",
    "has no free connection in the app's own pool",
)


def tried(sign: Sign, services: Sequence[Service]) -> Service | None:
    """The service that could not be used when the host tried it, and that this sign is about."""
    if sign.kind == "names":
        unknown = (one for one in services if one.how == "unknown")
        return next((one for one in unknown if sign.about in ("", host_of(one.address))), None)
    if sign.kind != "service":
        return None
    service, _, problem = sign.about.rpartition(": ")
    kind, _, address = service.partition(" ")
    if problem in _OWN_TROUBLE:
        return None
    kind = _KINDS.get(kind, kind)
    same = [one for one in services if kind in _ANY or one.kind == kind]
    failing = [one for one in same if one.how]
    if address and address != _UNNAMED:
        named = next((one for one in failing if _is_at(one, address)), None)
        # The only one of its kind: the log may have what its name was resolved to.
        return named or (
            failing[0] if len(same) == len(failing) == 1 and kind not in _ANY else None
        )
    return failing[0] if len(failing) == 1 and kind != "service" else None


def host_of(address: str) -> str:
    """The host of HOST:PORT; a socket's path as it is."""
    return address.rpartition(":")[0].strip("[]") if ":" in address else address


def _is_at(one: Service, address: str) -> bool:
    """Whether it is that address; the problem names what its name was resolved to."""
    host, _, port = address.rpartition(":") if not address.startswith("/") else (address, "", "")
    if not port.isdigit():
        host, port = address, ""
    own_port = one.address.rpartition(":")[2]
    if port and own_port.isdigit() and port != own_port:
        return False
    host, own = host.strip("[]"), host_of(one.address)
    both_here = host in LOOPBACK and own in LOOPBACK
    return host == own or both_here or host in one.problem.replace(",", " ").split()
