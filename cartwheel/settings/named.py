"""The files that the settings name: secrets, keys and others that must stay on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cartwheel.decoded import Table
from cartwheel.errors import UsageError
from cartwheel.settings.toml_tables import Settings

from .layers import Key, Mistake, read
from .project_files import files_of
from .validation import dotted

# Every setting with one of these names is the path of such a file, in every table.
# (A test checks that the list is complete.)
_FILES = frozenset({"file", "env_file", "identity", "known_hosts", "key", "page_key"})
# Tables with the user's own names and values.
_FREE: frozenset[Key] = frozenset({("env",), ("balancer", "headers")})
_SECRETS = frozenset(
    {
        "password",
        "read_password",
        "sudo_password",
        "secret",
        "key",
        "page_key",
        "users",
        "heartbeat",
        "metrics",
    }
)
_SHELL = re.compile(r"[\s=<>|;&()'\"`]+")


@dataclass(frozen=True)
class NamedFile:
    """A file, and the setting that names it."""

    setting: str
    path: Path


def named_files(settings: Settings, project: Path) -> tuple[NamedFile, ...]:
    """Every file that `settings` or any settings file of the project names, for all apps and
    environments. Files that a secret's command mentions count.

    Raises UsageError("settings") for a settings file that cannot be read, because the files that
    it names are unknown.
    """
    found = [
        NamedFile(dotted(key), _path(value, project))
        for table in (settings.model_dump(), *_tables(project))
        for key, value in _named((), table)
    ]
    return tuple(dict.fromkeys(found))


def _path(text: str, project: Path) -> Path:
    # Unlike Path.expanduser it leaves `~nobody` unchanged: not every word of a command is a path.
    return project / os.path.expanduser(text)  # noqa: PTH111 - see above


def _tables(project: Path) -> Iterator[Table]:
    used = files_of(project)
    files = [project / used.deploy, *(project / used.apps).glob("*.toml")]
    for file in sorted([*files, *(project / used.environments).glob("*.toml")]):
        if file.exists():
            layer = read(file, project)
            if isinstance(layer, Mistake):
                raise UsageError("settings", str(layer))
            yield layer.data


def _named(key: Key, table: Table) -> Iterator[tuple[Key, str]]:
    """The settings and the files they name: for `{ file = ... }` the table around it."""
    for name, value in table.items():
        here = (*key, name)
        if isinstance(value, dict) and here not in _FREE:
            yield from _named(here, value)
        elif isinstance(value, str) and name in _FILES:
            yield (key if name == "file" else here), value
        elif isinstance(value, str) and name == "command" and _is_secret(key):
            yield from ((key, word) for word in _SHELL.split(value) if word)


def _is_secret(key: Key) -> bool:
    by_name = key[:1] == ("secrets",) or key[:2] == ("notify", "to")
    return by_name or (bool(key) and key[0] != "hooks" and key[-1] in _SECRETS)
