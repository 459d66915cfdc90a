"""Answers of pretended hosts, as a session would hand them on."""

from __future__ import annotations

from typing import Any, TypeVar

from cartwheel.host.wire.codec import value_of
from cartwheel.host.wire.request import Request, answer_of

A = TypeVar("A")


def answer_to(asked: Request[A], said: Any) -> A:
    """The record of what a host said, of JSON's kinds."""
    found: A = value_of(answer_of(type(asked)), said)
    return found
