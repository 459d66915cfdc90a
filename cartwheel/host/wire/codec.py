"""Convert records (frozen dataclasses) to JSON and back: the only place that decodes JSON.

Messages are read strictly: both sides of a session run the same version, so an unknown or missing
field or a wrong type is a bug in Cartwheel. Files may have been written by another version:
unknown fields are ignored, and missing ones get their defaults.

A field named after a Python keyword has a trailing underscore here and none in JSON. A `key` in a
field's metadata is its name in JSON. A record with `sparse = True` writes only the fields that
differ from their defaults.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Any, Callable, Dict, List, Tuple, Type, TypeVar, Union

from cartwheel.host.wire.hidden import Hidden

R = TypeVar("R")
# Reads one value of a message. Arguments: value, field name for errors, strict or not.
Reader = Callable[[Any, str, bool], Any]
Readers = Tuple[Reader, ...]

# JSON's types; None stands for null.
_PLAIN = (str, bool, int, float, type(None))


class WireError(ValueError):
    """The JSON does not fit its record; the message names the field."""


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
        given = {one: inner for one, inner in given.items() if inner != _default(kind, one.name)}
    return {_key(one): to_json(inner) for one, inner in given.items()}


def _key(field: "dataclasses.Field[Any]") -> str:
    """The field's name in JSON."""
    key: str = field.metadata.get("key", field.name.rstrip("_"))
    return key


def _default(kind: Any, name: str) -> Any:
    return getattr(kind, name, dataclasses.MISSING)


def from_message(kind: Type[R], value: Any) -> R:
    """Read a record strictly. Raises WireError for anything that does not fit it exactly."""
    return _record(kind, value, "", True)


def from_disk(kind: Type[R], value: Any) -> R:
    """Read a record that this or another version wrote; unknown fields are ignored.
    Raises WireError for a wrong type and for a missing field that has no default."""
    return _record(kind, value, "", False)


def value_of(hint: Any, value: Any) -> Any:
    """Read a value of any annotation that a field may have, strictly: for answers that are not
    records."""
    return _reader(hint)(value, "", True)


def _record(kind: Type[R], value: Any, where: str, strict: bool) -> R:
    if not isinstance(value, dict):
        raise _unfit(where, f"is not of type {kind.__name__}")
    given: Dict[str, Any] = {}
    for name, key, read, needed in _fields(kind):
        inner = f"{where}.{key}" if where else key
        if key in value:
            given[name] = read(value[key], inner, strict)
        elif needed:
            raise _unfit(inner, f"is missing in {kind.__name__}")
    if strict and len(given) < len(value):
        unknown = ", ".join(sorted(set(value) - {key for _name, key, *_ in _fields(kind)}))
        raise _unfit(where, f"{kind.__name__} has no field {unknown}")
    return kind(**given)


def _plain(kind: Any, value: Any, where: str, strict: bool) -> Any:
    # In Python True is an int; in our JSON it is not.
    if type(value) is not kind:
        raise _unfit(where, f"is not of type {kind.__name__}")
    return value


def _number(value: Any, where: str, strict: bool) -> float:
    if type(value) not in (int, float):
        raise _unfit(where, "is not a number")
    return float(value)


def _as_it_is(value: Any, where: str, strict: bool) -> Any:
    return value


def _and_so_on(value: Any, where: str, strict: bool) -> Any:
    raise _unfit(where, "has too many values")


def _hidden(value: Any, where: str, strict: bool) -> Hidden:
    return Hidden(_plain(str, value, where, strict))


def _optional(readers: Readers, value: Any, where: str, strict: bool) -> Any:
    return None if value is None else readers[0](value, where, strict)


def _choice(choices: Tuple[Any, ...], value: Any, where: str, strict: bool) -> Any:
    if value not in choices:
        raise _unfit(where, f"is not one of {', '.join(map(str, choices))}")
    return value


def _tuple(readers: Readers, value: Any, where: str, strict: bool) -> Tuple[Any, ...]:
    """Read `Tuple[X, ...]`, or one value for each hint."""
    if readers[-1] is _and_so_on:
        return tuple(_list(readers, value, where, strict))
    if not isinstance(value, list) or len(value) != len(readers):
        raise _unfit(where, f"does not have {len(readers)} values")
    return tuple(read(value[at], where, strict) for at, read in enumerate(readers))


def _list(readers: Readers, value: Any, where: str, strict: bool) -> List[Any]:
    if not isinstance(value, list):
        raise _unfit(where, "is not a list")
    read = readers[0]
    return [read(one, f"{where}[{at}]", strict) for at, one in enumerate(value)]


def _dict(readers: Readers, value: Any, where: str, strict: bool) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise _unfit(where, "is not an object")
    read = readers[1]
    return {key: read(one, f"{where}.{key}", strict) for key, one in value.items()}


@functools.lru_cache(maxsize=None)
def _reader(hint: Any) -> Reader:
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
    return functools.partial(_record, hint)  # type: ignore[arg-type]


# By annotation, and for composed annotations by their origin.
_SIMPLE: Dict[Any, Reader] = {
    **{kind: functools.partial(_plain, kind) for kind in (str, bool, int)},
    float: _number,
    Any: _as_it_is,
    Hidden: _hidden,
    type(None): _as_it_is,
    Ellipsis: _and_so_on,
}
_COMPOSED: Dict[Any, Callable[..., Any]] = {
    Union: _optional,
    tuple: _tuple,
    list: _list,
    dict: _dict,
}


def _read_fields(kind: Any) -> Tuple[Tuple[str, str, Reader, bool], ...]:
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


_fields: Callable[[Any], Tuple[Tuple[str, str, Reader, bool], ...]] = functools.lru_cache(
    maxsize=None
)(_read_fields)


def _unfit(where: str, problem: str) -> WireError:
    return WireError(f"{where} {problem}" if where else problem)
