"""What the operator asks of a host: a request is a record, and knows the record of its answer."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Type, TypeVar

A_co = TypeVar("A_co", covariant=True)


class Request(Generic[A_co]):
    """The base of all requests: `Request[Answer]`. It says nothing but which answer comes back.

    `op` is the operation's name on the channel, in events and in messages.
    """

    op: ClassVar[str]


@dataclass(frozen=True)
class Done:
    """The answer of an operation that has nothing to tell. `changed`: whether the host is
    different afterwards; None where that is no question."""

    changed: typing.Optional[bool] = None


@dataclass(frozen=True)
class About:
    """What all requests of a session are about: told once, before the first of them."""

    app: str
    base: str
    who: str
    message: str


@dataclass(frozen=True)
class Who:
    """The session's own user and process. `boot_id`: another one after each boot (random(4)), ""
    where the kernel does not say."""

    uid: int
    pid: int
    boot_id: str


@dataclass(frozen=True)
class Hello(Request[Who]):
    """Ask who answers."""

    op = "hello"


def answer_of(request: Type[Request[Any]]) -> Any:
    """The annotation of the answer: `Facts` for `class Probe(Request[Facts])`."""
    for base in getattr(request, "__orig_bases__", ()):
        if typing.get_origin(base) is Request:
            (answer,) = typing.get_args(base)
            return answer
    raise TypeError(f"{request.__name__} does not say what its answer is")
