"""Requests from the operator to a host. A request is a record that knows its answer's type."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import ClassVar, Generic, Type, TypeVar

from cartwheel.host.wire.codec import from_message
from cartwheel.host.wire.messages import Json

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)


class Request(Generic[A_co]):
    """The base of all requests: `Request[Answer]`. It only names the type of the answer.

    `op` is the operation's name on the channel, in events and in messages.
    """

    op: ClassVar[str]


@dataclass(frozen=True)
class Done:
    """The answer of an operation without a result of its own. `changed`: whether the host is
    different afterwards; None: does not apply."""

    changed: typing.Optional[bool] = None


@dataclass(frozen=True)
class About:
    """What all requests of a session are about; sent once, before the first request."""

    app: str
    base: str
    who: str
    message: str


@dataclass(frozen=True)
class Who:
    """The session's own user and process. `boot_id`: a new one after each boot (random(4)), "" if
    the kernel has none."""

    uid: int
    pid: int
    boot_id: str


@dataclass(frozen=True)
class Hello(Request[Who]):
    """Ask for the session's user and process."""

    op = "hello"


def answer_of(request: Type[Request[A]], value: Json) -> A:
    """Read the answer to such a request, strictly. Raises WireError."""
    return from_message(answer_type(request), value)


def answer_type(request: Type[Request[A]]) -> Type[A]:
    """The type of the answer: `Facts` for `class Probe(Request[Facts])`."""
    for base in getattr(request, "__orig_bases__", ()):
        if typing.get_origin(base) is Request:
            answer: Type[A] = typing.get_args(base)[0]
            return answer
    raise TypeError(f"{request.__name__} does not say what its answer is")
