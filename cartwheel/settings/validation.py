"""Applies the model to merged TOML, and rewrites pydantic's errors for people."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from cartwheel.decoded import Fields, Table, Value
from cartwheel.settings import toml_tables

from .layers import Key, Layer, Mistake, Place

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

# The patterns of the model in words (a test checks that each has words).
PATTERN_WORDS = {
    toml_tables.NAME.pattern: (
        "lower-case letters and digits, with single `-` inside, starting with a letter"
    ),
    r"^/[^\x00\n]*$": "an absolute path",
    r"^https?://[^\s/]+(/\S*)?$": "an address: http:// or https://, a host, and a path",
    r"^/[^\s]*$": "a URL path: it starts with `/` and contains no space",
    r"^(3(\.\d+){0,2}|/[^\x00\s]+)$": "a version of Python like 3.11, or an absolute path",
    r"^[a-z_][a-z0-9_-]{0,30}$": "a user name: lower-case letters, digits, `_`, `-`, at most 31",
    r"^[A-Za-z_][\w.:#-]*$": "a worker class, e.g. `gthread` or `uvicorn.workers.UvicornWorker`",
    r"^(shared/)?[A-Za-z0-9_][A-Za-z0-9._-]*$": "a file's name, or shared/ and a file's name",
    r"^[A-Z][A-Za-z]+=[^\x00-\x1f]*$": "a line of a unit, e.g. `LimitNPROC=100`",
    r"^0?[0-7]{3}$": "permissions like `0640`",
    r"^\d+[kmg]?$": "a size like `10m`",
    r"^\d+[KMGT]?$": "a size like `512M`",
    r"^((/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+)?$": "a path like /shop, without `/` at its end",
    r"^[1-9]\d{0,5}/[sm]$": "a number of requests in a second or a minute, like `20/s` or `10/m`",
    r"^\d+%$": "a number, or a percentage like `25%`",
    r"^[A-Za-z0-9_.:-]+$": "a name of letters, digits, `_`, `.`, `:` and `-`",
    r"^https?://[^\s]+$": "a URL like https://HOST/PATH",
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$": "a name of letters, digits, `_`, `-` and `.`",
    r"^[1-9]\d*[KMG]?$": "a number of at least 1, or a size like `20M`",
}

_TYPE_WORDS = {
    "string_type": "a string in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_BOUND_WORDS = {
    "greater_than": ("a number above {:g}", "gt"),
    "greater_than_equal": ("at least {:g}", "ge"),
    "less_than_equal": ("at most {:g}", "le"),
    "string_too_long": ("at most {} characters", "max_length"),
    "string_too_short": ("at least {} characters", "min_length"),
    "literal_error": ("one of {}", "expected"),
}
# Settings that may have one of two types: neither of pydantic's two errors says so.
_EITHER: dict[Key, str] = {
    ("gunicorn", "workers"): "a number of at least 1, or a formula over `cpus`",
    ("fleet", "canary"): "a number of hosts, or a percentage like `25%`",
    ("fleet", "batch"): "a number of hosts, or a percentage like `25%`",
    ("fleet", "upload_bytes_per_second"): "a number of at least 1, or a size like `20M`",
}
_TOML_NAMES: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple: "a list",
    list: "a list",
    dict: "a table",
}
_SHOWN_CHARACTERS = 40
# A value at or below these keys may be a secret, so no message shows it.
_PRIVATE = {"env", "secrets", "password", "sudo_password", "read_password", "headers"}
_PRIVATE |= {"url", "extra_urls", "upload_url"}


@dataclass(frozen=True)
class Found:
    """A mistake, with its key."""

    key: Key
    mistake: Mistake
    is_missing: bool = False


def validate(merged: Layer, fallback: Place) -> tuple[toml_tables.Settings, list[Found]]:
    """The settings, and their mistakes.

    Wrong values are replaced by defaults or placeholders: good enough to find further mistakes,
    never to be used. `fallback` is the place for keys that are missing in all files.
    """
    data = _tuples(merged.data)
    errors = _errors(data)
    found = [_found(error, merged, fallback) for error in errors]
    while errors:  # every round removes something or adds a placeholder
        for key, kind in {_key(error, data): error["type"] for error in errors}.items():
            _repair(data, kind, key)
        errors = _errors(data)
    # A union gives one error for each of its members: keep the last one of each key.
    one_each = list({one.key: one for one in found}.values())
    return toml_tables.Settings.model_validate(data, strict=True), one_each


def _errors(data: Fields) -> list[ErrorDetails]:
    try:
        toml_tables.Settings.model_validate(data, strict=True)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _tuples(value: Value) -> Value:
    """Turn TOML's lists into the model's tuples, which strict validation requires."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(inner) for inner in value)
    return deepcopy(value)


def _key(error: ErrorDetails, data: Value) -> Key:
    """pydantic's location without the names of union members."""
    loc, is_missing = error["loc"], error["type"] == "missing"
    key: list[str | int] = []
    for number, part in enumerate(loc):
        is_inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, tuple) and isinstance(part, int) and part < len(data)
        )
        if is_inside:
            key.append(part)
            data = data[part]
        elif isinstance(data, dict) and is_missing and number == len(loc) - 1:
            key.append(part)
        else:
            break
    return tuple(key)


def _repair(data: Table, kind: str, key: Key) -> None:
    if kind == "missing":
        _table(data, key)[key[-1]] = {} if len(key) == 1 else "x"
        return
    # A list is repaired as a whole.
    index = next((number for number, part in enumerate(key) if isinstance(part, int)), len(key))
    _table(data, key[:index]).pop(key[index - 1], None)


def _table(data: Table, key: Key) -> dict[str | int, Value]:
    """The table that contains (or lacks) `key`; {} if it has been removed."""
    table: Value = data
    for part in key[:-1]:
        table = table.get(part, {})
    return table if isinstance(table, dict) else {}


def _found(error: ErrorDetails, merged: Layer, fallback: Place) -> Found:
    key = _key(error, _tuples(merged.data))
    place = merged.place(key) or fallback
    message = f"{dotted(key)}: {_words(error, key)}"
    return Found(key, Mistake(place, message), error["type"] == "missing")


def _words(error: ErrorDetails, key: Key) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return f"is missing: {_description(key)}"
    if kind == "extra_forbidden":
        return f"unknown key{_suggestion(key)}"
    if kind == "value_error":
        return str(context["error"])
    return f"expected {_expected(kind, context, key, error['msg'])}{_got(error['input'], key)}"


def _expected(kind: str, context: Fields, key: Key, message: str) -> str:
    if kind in _BOUND_WORDS:
        words, bound = _BOUND_WORDS[kind]
        return words.format(context[bound])
    if kind == "string_pattern_mismatch":
        return PATTERN_WORDS.get(context["pattern"], f"text like {context['pattern']}")
    if key in _EITHER:
        return _EITHER[key]
    return _TYPE_WORDS.get(kind, message.removeprefix("Input should be "))


def _got(value: object, key: Key) -> str:
    """The wrong value; never one that may be secret."""
    named = _TOML_NAMES.get(type(value), "something else")
    if _PRIVATE.intersection(str(part) for part in key) or isinstance(value, (dict, tuple, list)):
        return f", got {named}"
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return f", got {shown if len(shown) <= _SHOWN_CHARACTERS else named}"


def dotted(key: Key) -> str:
    """A key as people write it: `hosts[2]`, `web.listen`."""
    text = ""
    for part in key:
        shown = f'"{part}"' if "/" in str(part) else part
        text += f"[{part}]" if isinstance(part, int) else f".{shown}" if text else str(shown)
    return text


def _suggestion(key: Key) -> str:
    """The nearest known key: the same name in another table, else a similar one in this table."""
    *path, name = (str(part) for part in key)
    table = _model_at(tuple(path))
    siblings = list(table.model_fields) if table else []
    everywhere = [known for known, _ in known_keys() if known[-1] == name]
    if everywhere:
        return f"; did you mean {dotted(everywhere[0])}?"
    close = difflib.get_close_matches(name, siblings, 1)
    if close:
        return f"; did you mean {dotted((*path, close[0]))}?"
    if siblings:
        return f"; known here: {', '.join(siblings)}"
    return ""


def _model_at(path: tuple[str, ...]) -> type[BaseModel] | None:
    """The table at `path`, or None. In a table of tables any name is allowed."""
    table: type[BaseModel] = toml_tables.Settings
    parts = list(path)
    while parts:
        field = table.model_fields.get(parts.pop(0))
        inner = table_of(field.annotation) if field else None
        if inner is None and field is not None and parts:
            inner = entry_of(field.annotation)
            parts.pop(0)
        if inner is None:
            return None
        table = inner
    return table


# Any: an annotation may be of every kind, not only a class.
def entry_of(annotation: Any) -> type[BaseModel] | None:
    """The model of each entry of a field that is a table of tables."""
    if typing.get_origin(annotation) is not dict:
        return None
    return table_of(typing.get_args(annotation)[1])


def table_of(annotation: Any) -> type[BaseModel] | None:
    """The model of a field that is a table, also of `Secret | None`."""
    options = (
        typing.get_args(annotation)
        if typing.get_origin(annotation) in (types.UnionType, typing.Union)
        else (annotation,)
    )
    for option in options:
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def known_keys() -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every key of the model with its pydantic field, in order; secrets count as one key."""
    for name, field in toml_tables.Settings.model_fields.items():
        table = table_of(field.annotation)
        if table is None:
            yield (name,), field
        else:
            for inner, inner_field in table.model_fields.items():
                yield (name, inner), inner_field


def _description(key: Key) -> str:
    from .descriptions import description

    if key == ("app",):
        return "a table [app] with name and source"
    *path, name = (str(part) for part in key)
    table = _model_at(tuple(path))
    return (description(table, name) if table else "") or "it has no default"
