"""Convert records (frozen dataclasses) to JSON and back: the only place that decodes JSON.

Messages are read strictly: both sides of a session run the same version, so an unknown or missing
field or a wrong type is a bug in Cartwheel. Files may have been written by another version:
unknown fields are ignored, and missing ones get their defaults.

A field named after a Python keyword has a trailing underscore here and none in JSON. A record with
`sparse = True` writes only the fields that differ from their defaults.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Any, Callable, Dict, Optional, Tuple, Type, TypeVar, Union

from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.messages import Json

R = TypeVar("R")
K = TypeVar("K")
V = TypeVar("V")
# Reads one value of a message. Arguments: value, field name for errors, strict or not.
Reader = Callable[[Json, str, bool], R]
Readers = Tuple[Reader[R], ...]

# JSON's types; None stands for null.
_PLAIN = (str, bool, int, float, type(None))


class WireError(ValueError):
    """The JSON does not fit its record; the message names the field."""


# Any: fields of all types go in, and what comes out depends on what went in.
def to_json(value: Any) -> Any:
    """Convert a record or a field's value to JSON types. Secrets are written in plain text: use it
    only for the channel to a host and for the host's own files."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Hidden):
        return value.reveal()
    if isinstance(value, dict):
        return {key: to_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(inner) for inner in value]
    kind = type(value)
    given = {one: getattr(value, one.name) for one in dataclasses.fields(kind)}
    if getattr(kind, "sparse", False):
        # A field's default is an attribute of the class.
        given = {
            one: inner
            for one, inner in given.items()
            if inner != getattr(kind, one.name, dataclasses.MISSING)
        }
    return {_key(one): to_json(inner) for one, inner in given.items()}


def _key(field: "dataclasses.Field[R]") -> str:
    """The field's name in JSON."""
    return field.name.rstrip("_")


def from_message(kind: Type[R], value: Json) -> R:
    """Read a record, or a value of any annotation that its fields may have, strictly. Raises
    WireError for anything that does not fit it exactly."""
    found: R = _reader(kind)(value, "", True)
    return found


def from_disk(kind: Type[R], value: Json) -> R:
    """The same for what this or another version wrote; unknown fields are ignored. Raises
    WireError for a wrong type and for a missing field that has no default."""
    found: R = _reader(kind)(value, "", False)
    return found


def _record(kind: Type[R], value: Json, where: str, strict: bool) -> R:
    if not isinstance(value, dict):
        raise _unfit(where, f"is not of type {kind.__name__}")
    given: Dict[str, Any] = {}  # each field has its own type
    for name, key, read, needed in _fields(kind):
        inner = _within(where, key)
        if key in value:
            given[name] = read(value[key], inner, strict)
        elif needed:
            raise _unfit(inner, f"is missing in {kind.__name__}")
    if strict and len(given) < len(value):
        unknown = ", ".join(sorted(set(value) - {key for _name, key, *_ in _fields(kind)}))
        raise _unfit(where, f"{kind.__name__} has no field {unknown}")
    return kind(**given)


def _plain(kind: Type[R], value: Json, where: str, strict: bool) -> R:
    # In Python True is an int; in our JSON it is not.
    if type(value) is not kind:
        raise _unfit(where, f"is not of type {kind.__name__}")
    return value


def _number(value: Json, where: str, strict: bool) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _unfit(where, "is not a number")
    return float(value)


def _as_it_is(value: Json, where: str, strict: bool) -> Json:
    """Any JSON. It also stands for None in `Optional[X]` and for `...` in `Tuple[X, ...]`."""
    return value


def _hidden(value: Json, where: str, strict: bool) -> Hidden:
    return Hidden(_plain(str, value, where, strict))


def _optional(readers: Readers[R], value: Json, where: str, strict: bool) -> Optional[R]:
    return None if value is None else readers[0](value, where, strict)


def _choice(choices: Tuple[R, ...], value: Json, where: str, strict: bool) -> R:
    for choice in choices:
        if choice == value:
            return choice
    raise _unfit(where, f"is not one of {', '.join(map(str, choices))}")


def _tuple(readers: Readers[R], value: Json, where: str, strict: bool) -> Tuple[R, ...]:
    """Read `Tuple[X, ...]`, or one value for each hint."""
    if not isinstance(value, list):
        raise _unfit(where, "is not a list")
    if readers[-1] is _as_it_is:
        return tuple(readers[0](one, f"{where}[{at}]", strict) for at, one in enumerate(value))
    if len(value) != len(readers):
        raise _unfit(where, f"does not have {len(readers)} values")
    return tuple(read(value[at], where, strict) for at, read in enumerate(readers))


def _dict(readers: Readers[R], value: Json, where: str, strict: bool) -> Dict[str, R]:
    if not isinstance(value, dict):
        raise _unfit(where, "is not an object")
    read = readers[1]
    return {key: read(one, _within(where, key), strict) for key, one in value.items()}


def _once(function: Callable[[K], V]) -> Callable[[K], V]:
    return functools.lru_cache(maxsize=None)(function)


# Any, from here on: annotations and the values that are read by them are of all types.
@_once
def _reader(hint: Any) -> Reader[Any]:
    """The function that reads a value of this annotation."""
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in _COMPOSED:
        return functools.partial(_COMPOSED[origin], tuple(map(_reader, inner)))
    if origin is typing.Literal:
        return functools.partial(_choice, inner)
    if not dataclasses.is_dataclass(hint):
        raise TypeError(f"a field of a record cannot be {hint!r}")
    return functools.partial(_record, hint)  # type: ignore[arg-type]  # a dataclass, see above


# By annotation, and for composed annotations by their origin.
_SIMPLE: Dict[Any, Reader[Any]] = {
    **{kind: functools.partial(_plain, kind) for kind in (str, bool, int)},
    float: _number,
    Hidden: _hidden,
    **dict.fromkeys((Any, type(None), Ellipsis), _as_it_is),
}
_COMPOSED: Dict[Any, Callable[..., Any]] = {Union: _optional, tuple: _tuple, dict: _dict}


@_once
def _fields(kind: type) -> Tuple[Tuple[str, str, Reader[Any], bool], ...]:
    """Each field's name here and in JSON, its reader, and whether it is required."""
    hints = typing.get_type_hints(kind)
    return tuple(
        (
            one.name,
            _key(one),
            _reader(hints[one.name]),
            one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING,
        )
        for one in dataclasses.fields(kind)
    )


def _within(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _unfit(where: str, problem: str) -> WireError:
    return WireError(f"{where} {problem}" if where else problem)
