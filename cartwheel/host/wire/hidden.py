"""A secret value: it prints as `***`; only `reveal` returns it."""

from __future__ import annotations

from typing import NoReturn

MASK = "***"


class Hidden:
    """A secret. Every way of printing it gives `***`; JSON and pickle refuse it.

    Use `reveal` only where the value is needed: for the channel to a host, for the program or
    server that it is a secret of, and for keyed digests.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written down")
