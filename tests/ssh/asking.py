"""Requests for operations that only tests have (ops.py): records that are made as they are
needed. And a command, past everything of ours but the quoting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import make_dataclass
from typing import Any

from cartwheel.host.wire.request import Request
from cartwheel.ssh import startup
from cartwheel.ssh.connection import StrictConnection


class _Any(Request[dict[str, Any]]):
    """The base of them: whatever comes back is the answer."""


def asking(op: str, fields: Mapping[str, Any] | None = None) -> Request[dict[str, Any]]:
    """A request for the operation of that name."""
    given = dict(fields or {})
    kind = make_dataclass("Asking", given, bases=(_Any,), namespace={"op": op}, frozen=True)
    asked: Request[dict[str, Any]] = kind(**given)
    return asked


def said_to(connection: StrictConnection, words: Sequence[str]) -> str:
    """What these words print as a command of the login shell."""
    connection.open()
    channel = connection.transport.open_session(timeout=20)
    channel.settimeout(20)
    channel.exec_command(" ".join(map(startup.quote, words)))
    return channel.makefile("rb").read().decode()
