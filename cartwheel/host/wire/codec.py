"""Between records (frozen dataclasses) and JSON: the one place where JSON is decoded.

A message is read strictly: both sides of a session run the same version, so a field too many, too
few or of another kind is a fault of ours. What lies on a disk was perhaps written by another
version: fields that this one does not know are ignored, and those that are missing have their
defaults.

A field that has a keyword's name is spelt with an underscore at its end, and travels without; one
whose metadata has a `key` travels by that. Of a record that says `sparse = True` only those fields
travel that differ from their defaults.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Any, Callable, Dict, List, Tuple, Type, TypeVar, Union

from cartwheel.host.wire.hidden import Hidden

R = TypeVar("R")
# Reads what stands in a message: the value, the field's name for errors, whether strictly.
Reader = Callable[[Any, str, bool], Any]
Readers = Tuple[Reader, ...]

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
    kind = type(value)
    given = {one: getattr(value, one.name) for one in dataclasses.fields(kind)}
    if getattr(kind, "sparse", False):
        given = {one: inner for one, inner in given.items() if inner != _default(kind, one.name)}
    return {_key(one): to_json(inner) for one, inner in given.items()}


def _key(field: "dataclasses.Field[Any]") -> str:
    """Its name on the wire."""
    key: str = field.metadata.get("key", field.name.rstrip("_"))
    return key


def _default(kind: Any, name: str) -> Any:
    return getattr(kind, name, dataclasses.MISSING)


def from_message(kind: Type[R], value: Any) -> R:
    """The record of this kind. Raises WireError for anything that does not fit it exactly."""
    return _record(kind, value, "", True)


def from_disk(kind: Type[R], value: Any) -> R:
    """The record of this kind, as this or another version wrote it: unknown fields are ignored.
    Raises WireError for a field of another kind, and for one without a default that is missing."""
    return _record(kind, value, "", False)


def value_of(hint: Any, value: Any) -> Any:
    """A strict value of any annotation that a field may have: for answers that are no records."""
    return _reader(hint)(value, "", True)


def _record(kind: Type[R], value: Any, where: str, strict: bool) -> R:
    if not isinstance(value, dict):
        raise _unfit(where, f"is no {kind.__name__}")
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
    # True is an int for Python, and none for us.
    if type(value) is not kind:
        raise _unfit(where, f"is no {kind.__name__}")
    return value


def _number(value: Any, where: str, strict: bool) -> float:
    if type(value) not in (int, float):
        raise _unfit(where, "is no number")
    return float(value)


def _as_it_is(value: Any, where: str, strict: bool) -> Any:
    return value


def _and_so_on(value: Any, where: str, strict: bool) -> Any:
    raise _unfit(where, "has a value too many")


def _hidden(value: Any, where: str, strict: bool) -> Hidden:
    return Hidden(_plain(str, value, where, strict))


def _optional(readers: Readers, value: Any, where: str, strict: bool) -> Any:
    return None if value is None else readers[0](value, where, strict)


def _choice(choices: Tuple[Any, ...], value: Any, where: str, strict: bool) -> Any:
    if value not in choices:
        raise _unfit(where, f"is none of {', '.join(map(str, choices))}")
    return value


def _tuple(readers: Readers, value: Any, where: str, strict: bool) -> Tuple[Any, ...]:
    """`Tuple[X, ...]`, or one value for each of the hints."""
    if readers[-1] is _and_so_on:
        return tuple(_list(readers, value, where, strict))
    if not isinstance(value, list) or len(value) != len(readers):
        raise _unfit(where, f"has not {len(readers)} values")
    return tuple(read(value[at], where, strict) for at, read in enumerate(readers))


def _list(readers: Readers, value: Any, where: str, strict: bool) -> List[Any]:
    if not isinstance(value, list):
        raise _unfit(where, "is no list")
    read = readers[0]
    return [read(one, f"{where}[{at}]", strict) for at, one in enumerate(value)]


def _dict(readers: Readers, value: Any, where: str, strict: bool) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise _unfit(where, "is no table")
    read = readers[1]
    return {key: read(one, f"{where}.{key}", strict) for key, one in value.items()}


@functools.lru_cache(maxsize=None)
def _reader(hint: Any) -> Reader:
    """How a value of this annotation is read."""
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


# By annotation, and by the origin of one that is composed.
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
    """Each field's name here and on the wire, how it is read, and whether it must be there."""
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
