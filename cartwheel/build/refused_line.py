"""Lines of a pyproject.toml for messages: of requirements, and of what a back end refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cartwheel.build.origins import TomlFile, normal
from cartwheel.decoded import Table
from cartwheel.settings.positions import Path as Keys

# How back ends name a key: `project.dependencies[1]`, tool.poetry.dependencies.flask.
_KEY = re.compile(r"(?<![\w.])(?:project|tool|build-system)(?:\.[\w-]+|\[\d+\])+|`project`")
_PART = re.compile(r"[\w-]+")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
# An element of a list: setuptools counts from 0, hatchling from 1.
_FROM_0, _FROM_1 = re.compile(r"\[(\d+)\]"), re.compile(r"#(\d+) of field")
_REQUIREMENTS = (
    ("project", "dependencies"),
    ("project", "optional-dependencies"),
    ("tool", "poetry", "dependencies"),
    ("tool", "poetry", "group"),
    ("build-system", "requires"),
)


def requirement_lines(toml: TomlFile) -> dict[str, str]:
    """FILE:LINE of each requirement by its normalised name."""
    found: dict[str, str] = {}
    for keys in _REQUIREMENTS:
        for place, name in _required(toml.at(*keys[:-1]).get(keys[-1]), keys):
            found.setdefault(normal(name), toml.where(*place))
    return found


def _required(said: object, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """The names in a list of requirements, in Poetry's tables, or in tables of them."""
    if isinstance(said, list):
        for number, line in enumerate(said):
            name = _NAME.match(line) if isinstance(line, str) else None
            yield from [((*keys, number), name[0])] if name else ()
    elif isinstance(said, dict):
        for key, inner in said.items():
            if keys[-1] == "dependencies":
                yield (*keys, key), key
            else:
                yield from _required(inner, (*keys, key))


def refused_line(toml: TomlFile, message: str) -> str:
    """FILE:LINE of the key or else of the value that `message` names; empty if it names none."""
    keys = max((_keys(toml, found) for found in _KEY.findall(message)), key=len, default=())
    if keys:
        return toml.where(*keys, *_inside(toml.at(*keys), message))
    said = message.replace(f"{toml.path.parent}/", "")
    named = [one for one in _values(toml.table, ()) if _names(one[1], said)]
    # Messages about other values name the package too.
    best = max(named, key=lambda one: (one[0][-1] != "name", len(one[1])), default=((), ""))
    return toml.where(*best[0]) if named else ""


def _inside(table: Table, message: str) -> Keys:
    """The key of `table`, or the number in a list, that a message names too."""
    for pattern, first in ((_FROM_0, 0), (_FROM_1, 1)):
        if found := pattern.search(message):
            return (int(found[1]) - first,)
    return tuple(word for word in re.findall(r"'([\w-]+)'", message) if word in table)[:1]


def _keys(toml: TomlFile, dotted: str) -> tuple[str, ...]:
    """The tables and keys of a dotted key, as far as the file has them."""
    found: list[str] = []
    for part in _PART.findall(dotted):
        if part not in toml.at(*found):
            break
        found.append(part)
    return tuple(found)


def _values(table: object, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Every text in the file, with its keys."""
    if isinstance(table, str) and table.strip():
        yield keys, table
    elif isinstance(table, dict):
        for key, value in table.items():
            yield from _values(value, (*keys, key))
    elif isinstance(table, list):
        for number, value in enumerate(table):
            yield from _values(value, (*keys, number))


def _names(value: str, message: str) -> bool:
    """Whether a message quotes a value, or a line of it begins or ends with it."""
    text = re.escape(value)
    found = rf"[`'\"]{text}[`'\"]|^{text}(?: |$)|(?:: |package ){text}$"
    return bool(re.search(found, message, re.MULTILINE))
