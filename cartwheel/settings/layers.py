"""Merges TOML files, and remembers the line of each value."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from cartwheel.decoded import Table

from . import positions

Key = positions.Path

# These tables are one value: `{command = ...}` over `{file = ...}` replaces it whole.
# (A test holds that these are all secrets of the model.)
_WHOLE = {
    ("artifacts", "password"),
    ("artifacts", "read_password"),
    ("balancer", "secret"),
    ("monitor", "heartbeat"),
    ("monitor", "page_key"),
    ("monitor", "metrics"),
    ("index", "password"),
    ("ssh", "password"),
    ("ssh", "sudo_password"),
    ("tls", "key"),
}
# A variable in one of these in a later file replaces the same variable in the other one.
_MESSENGERS = ("notify", "to")  # each of them is a secret
_EITHER = (
    (("index", "preset"), ("index", "url")),
    (("index", "url"), ("index", "preset")),
)
_TWICE = re.compile(r"Cannot declare \((.*)\) twice")
_PLACE_IN_MESSAGE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


# A key, and the mistake in its value.
Problem = tuple[Key, str]


def why_not(read: Callable[[str], object], text: str) -> str:
    """Why `read` raises ValueError for a text; "" if it does not."""
    try:
        read(text)
    except ValueError as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class Place:
    """A place in a settings file, as messages show it: `cartwheel.toml:12:3`."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])


@dataclass(frozen=True)
class Mistake:
    """One mistake in the settings, and its place."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass
class Layer:
    """One file, or several merged: the data and the place of every key in it."""

    data: Table = field(default_factory=dict)
    places: dict[Key, Place] = field(default_factory=dict)

    def place(self, key: Key) -> Place | None:
        """The place of `key`, or of the nearest table around it."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.places:
                return self.places[key[:length]]
        return None


def read(path: Path, project: Path) -> Layer | Mistake:
    """One TOML file; a file that is not TOML is a mistake with its line."""
    shown = str(path.relative_to(project)) if path.is_relative_to(project) else str(path)
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        return Mistake(Place(shown), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return Mistake(Place(shown, line), "is not UTF-8 text")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _syntax_mistake(str(error), text, shown)
    except (ValueError, RecursionError) as error:  # a number or a nesting without end
        return Mistake(Place(shown), f"cannot be read: {error}")
    return Layer(
        data,
        {key: Place(shown, at.line, at.column) for key, at in positions.positions(text).items()},
    )


def _syntax_mistake(message: str, text: str, shown: str) -> Mistake:
    """tomllib's message has the place at its end, as text."""
    found = _PLACE_IN_MESSAGE.search(message)
    words = _TWICE.sub(_named_twice, _PLACE_IN_MESSAGE.sub("", message))
    if found and found.group(1):
        return Mistake(Place(shown, int(found.group(1)), int(found.group(2))), f"not TOML: {words}")
    return Mistake(Place(shown, text.count("\n") + 1), f"not TOML: {words} at the end of the file")


def _named_twice(message: re.Match[str]) -> str:
    """tomllib names a table by a Python tuple."""
    names = re.findall("'([^']*)'", message[1])
    return f"[{'.'.join(names)}] is defined twice"


def lay_over(below: Layer, above: Layer) -> Layer:
    """Tables are merged key by key; every other value of `above` replaces the one below.

    If one file has a variable as a secret and another file as a plain value, the later file wins.
    """
    result = Layer(deepcopy(below.data), dict(below.places))
    for kind, other in (("secrets", "env"), ("env", "secrets")):
        names = above.data.get(kind)
        for name in names if isinstance(names, dict) else ():
            _drop(result, (other, name))
    for chosen, other_key in _EITHER:
        if chosen in above.places:
            _drop(result, other_key)
    _merge(result.data, above.data, (), result, above)
    return result


def _merge(into: Table, data: Table, at: Key, result: Layer, above: Layer) -> None:
    for name, value in data.items():
        key = (*at, name)
        if isinstance(value, dict) and isinstance(into.get(name), dict) and not _is_whole(key):
            if key in above.places:
                result.places.setdefault(key, above.places[key])
            _merge(into[name], value, key, result, above)
        else:
            _forget(result, key)
            into[name] = deepcopy(value)
            result.places.update(
                {k: place for k, place in above.places.items() if k[: len(key)] == key}
            )


def _is_whole(key: Key) -> bool:
    of_file = (*key[:1], *key[2:]) == ("files", "secret")
    of_path = (*key[:2], *key[3:]) == ("web", "paths", "users")
    by_name = (len(key) > 1 and key[0] == "secrets") or key[:-1] == _MESSENGERS
    return by_name or of_file or of_path or key in _WHOLE


def _drop(layer: Layer, key: Key) -> None:
    """Remove one key of a first-level table."""
    table = layer.data.get(str(key[0]))
    if isinstance(table, dict) and key[1] in table:
        del table[key[1]]
        _forget(layer, key)


def _forget(layer: Layer, key: Key) -> None:
    for known in [k for k in layer.places if k[: len(key)] == key]:
        del layer.places[known]
