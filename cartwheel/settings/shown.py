"""The merged settings as text: each key, its value, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

from cartwheel.settings.toml_tables import Secret, Settings

from .as_toml import toml
from .layers import Key
from .validation import dotted
from .variables import source_of

if TYPE_CHECKING:
    from .loading import Placed

DEFAULT = "default"
_COMMAND_LINE = "--env"


@dataclass(frozen=True)
class Shown:
    """One setting. `value` is TOML; for a secret it is the source, never the secret. `place` is
    FILE:LINE:COLUMN, or `default`."""

    key: str
    value: str
    place: str


def lines(placed: Placed) -> list[Shown]:
    """Every setting that has a value, in the order of the reference."""
    return [
        Shown(dotted(key), _text(value), _place(placed, key))
        for key, value in _leaves((), placed.settings)
        if value is not None
    ]


def secrets_of(settings: Settings) -> dict[str, Secret]:
    """Every secret that the settings name, by its key."""
    return {dotted(key): value for key, value in _leaves((), settings) if isinstance(value, Secret)}


# These settings shape what a host runs. All others are about this machine, the fleet or the
# connection; variables and hooks are shown separately.
_OF_HOSTS = frozenset(("app", "gunicorn", "web", "health", "deploy", "host", "hardening"))


def of_hosts(settings: Settings) -> dict[str, str]:
    """Every setting that shapes what a host runs and differs from its default, as TOML, by key."""
    given = settings.model_dump(mode="json", include=set(_OF_HOSTS), exclude_defaults=True)
    return {dotted(key): toml(value) for key, value in _leaves((), given)}


def _leaves(key: Key, value: object) -> Iterator[tuple[Key, object]]:
    """The values in tables, at any depth; an empty table counts as a value."""
    if isinstance(value, BaseModel) and not isinstance(value, Secret):
        for name in type(value).model_fields:
            yield from _leaves((*key, name), getattr(value, name))
    elif isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves((*key, name), inner)
    else:
        yield key, value


def _text(value: object) -> str:
    return source_of(value) if isinstance(value, Secret) else toml(value)


def _place(placed: Placed, key: Key) -> str:
    if key == ("environment",):
        return _COMMAND_LINE
    places = placed.merged.places
    found = places.get(key)
    if found is None and key[:2] == ("web", "static") and key[-1] == "folder":
        found = places.get(key[:-1])  # a string alone
    return str(found) if found else DEFAULT
