"""Between records (frozen dataclasses) and JSON: the one place where JSON is decoded.

A message is read strictly: both sides of a session run the same version, so a field too many, too
few or of another kind is a fault of ours. What lies on a disk was perhaps written by another
version: fields that this one does not know are ignored, and those that are missing have their
defaults.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Any, Callable, Dict, List, Tuple, Type, TypeVar, Union

from cartwheel.host.wire.hidden import Hidden

R = TypeVar("R")

# JSON's own kinds; None stands for null.
_PLAIN = (str, bool, int, float, type(None))


class WireError(ValueError):
    """What was read does not fit its record; the message names the field."""


def to_json(value: Any) -> Any:
    """A record, or what a field holds, as JSON's kinds. Secrets are revealed: this is for the
    channel to a host and for the host's own files."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Hidden):
        return value.reveal()
    if isinstance(value, dict):
        return {key: to_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(inner) for inner in value]
    return {name: to_json(getattr(value, name)) for name, _hint, _needed in _fields(type(value))}


def from_message(kind: Type[R], value: Any) -> R:
    """The record of this kind. Raises WireError for anything that does not fit it exactly."""
    return _record(kind, value, "", True)


def from_disk(kind: Type[R], value: Any) -> R:
    """The record of this kind, as this or another version wrote it: unknown fields are ignored.
    Raises WireError for a field of another kind, and for one without a default that is missing."""
    return _record(kind, value, "", False)


def value_of(hint: Any, value: Any) -> Any:
    """A strict value of any annotation that a field may have: for answers that are no records."""
    return _value(hint, value, "", True)


def _record(kind: Type[R], value: Any, where: str, strict: bool) -> R:
    if not isinstance(value, dict):
        raise _unfit(where, f"is no {kind.__name__}")
    given: Dict[str, Any] = {}
    for name, hint, needed in _fields(kind):
        inner = f"{where}.{name}" if where else name
        if name in value:
            given[name] = _value(hint, value[name], inner, strict)
        elif needed:
            raise _unfit(inner, f"is missing in {kind.__name__}")
    if strict and len(given) < len(value):
        unknown = ", ".join(sorted(set(value) - set(given)))
        raise _unfit(where, f"{kind.__name__} has no field {unknown}")
    return kind(**given)


def _value(hint: Any, value: Any, where: str, strict: bool) -> Any:
    if hint in (str, bool, int):
        # True is an int for Python, and none for us.
        if type(value) is not hint:
            raise _unfit(where, f"is no {hint.__name__}")
        return value
    if hint is float:
        if type(value) not in (int, float):
            raise _unfit(where, "is no number")
        return float(value)
    if hint is Any:
        return value
    if hint is Hidden:
        return Hidden(_value(str, value, where, strict))
    return _shaped(hint)(value, where, strict)


@functools.lru_cache(maxsize=None)
def _shaped(hint: Any) -> Callable[[Any, str, bool], Any]:
    """How a value of a composed annotation is read."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Union:
        return functools.partial(_optional, inner)
    if origin is typing.Literal:
        return functools.partial(_choice, inner)
    if origin is tuple:
        return functools.partial(_tuple, inner)
    if origin is list:
        return functools.partial(_list, inner[0])
    if origin is dict:
        return functools.partial(_dict, inner[1])
    if not dataclasses.is_dataclass(hint):
        raise TypeError(f"a field of a record cannot be {hint!r}")
    return functools.partial(_record, hint)  # type: ignore[arg-type]


def _optional(hints: Tuple[Any, ...], value: Any, where: str, strict: bool) -> Any:
    if value is None and type(None) in hints:
        return None
    (hint,) = (one for one in hints if one is not type(None))
    return _value(hint, value, where, strict)


def _choice(choices: Tuple[Any, ...], value: Any, where: str, strict: bool) -> Any:
    if value not in choices:
        raise _unfit(where, f"is none of {', '.join(map(str, choices))}")
    return value


def _tuple(hints: Tuple[Any, ...], value: Any, where: str, strict: bool) -> Tuple[Any, ...]:
    """`Tuple[X, ...]`, or one value for each of the hints."""
    if hints[-1:] == (Ellipsis,):
        return tuple(_list(hints[0], value, where, strict))
    if not isinstance(value, list) or len(value) != len(hints):
        raise _unfit(where, f"has not {len(hints)} values")
    return tuple(_value(hints[at], one, where, strict) for at, one in enumerate(value))


def _list(hint: Any, value: Any, where: str, strict: bool) -> List[Any]:
    if not isinstance(value, list):
        raise _unfit(where, "is no list")
    return [_value(hint, one, f"{where}[{at}]", strict) for at, one in enumerate(value)]


def _dict(hint: Any, value: Any, where: str, strict: bool) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise _unfit(where, "is no table")
    return {key: _value(hint, one, f"{where}.{key}", strict) for key, one in value.items()}


def _read_fields(kind: Any) -> Tuple[Tuple[str, Any, bool], ...]:
    """Each field's name, its annotation, and whether a value must be given."""
    hints = typing.get_type_hints(kind)
    return tuple(
        (
            one.name,
            hints[one.name],
            one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING,
        )
        for one in dataclasses.fields(kind)
    )


_fields: Callable[[Any], Tuple[Tuple[str, Any, bool], ...]] = functools.lru_cache(maxsize=None)(
    _read_fields
)


def _unfit(where: str, problem: str) -> WireError:
    return WireError(f"{where} {problem}" if where else problem)
