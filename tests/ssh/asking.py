"""Requests for operations that only tests have (ops.py): records that are made as they are
needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import make_dataclass
from typing import Any

from cartwheel.host.wire.request import Request


class _Any(Request[dict[str, Any]]):
    """The base of them: whatever comes back is the answer."""


def asking(op: str, fields: Mapping[str, Any] | None = None) -> Request[dict[str, Any]]:
    """A request for the operation of that name."""
    given = dict(fields or {})
    kind = make_dataclass("Asking", given, bases=(_Any,), namespace={"op": op}, frozen=True)
    asked: Request[dict[str, Any]] = kind(**given)
    return asked
