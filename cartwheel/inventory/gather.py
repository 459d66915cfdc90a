"""Reads all sources of an inventory: the settings, an executable, ssh_config's aliases."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel import process_env, programs
from cartwheel.decoded import Table, Value
from cartwheel.errors import UsageError
from cartwheel.inventory import ansible
from cartwheel.settings.hosts import DEFAULT_ROLE, Host, PlaceOf, from_settings

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Settings

COMMAND_SECONDS = 60.0
_SHOWN_LINES = 10


def gather(
    settings: Settings, project: Path, place_of: PlaceOf, ssh_config: Path | None
) -> tuple[Host, ...]:
    """Every known host, each name once: the first source that has it counts.

    `ssh_config` replaces the user's own file. Raises UsageError("inventory").
    """
    inventory = settings.inventory
    sources: list[Sequence[Host]] = [from_settings(settings, place_of)]
    if inventory.command is not None:
        sources.append(from_command(inventory.command, project))
    if inventory.ssh_config:
        sources.append(from_ssh_config(inventory.ssh_config, ssh_config))
    found: dict[str, Host] = {}
    for host in (host for source in sources for host in source):
        found.setdefault(host.name, host)
    return tuple(found.values())


def from_command(command: str, project: Path) -> list[Host]:
    """The hosts that an executable prints for `--list` (and `--host NAME`, if necessary)."""
    warnings: list[str] = []
    found = hosts_printed(command, partial(_printed, command, project, warnings))
    if warnings and not found:  # ansible-inventory also ends with 0 if it can read no file
        detail = "\n".join(warnings)
        raise UsageError("inventory", f"{command} prints no host", detail=detail)
    return found


def hosts_printed(command: str, printed: Callable[..., bytes]) -> list[Host]:
    """The hosts in what `command` has `printed` for its options. Raises UsageError("inventory")."""
    data = _decoded(printed("--list"), f"{command} --list")
    try:
        asked: Table = {}
        if not ansible.has_hostvars(data):
            for name in ansible.host_names(data):
                said = _decoded(printed("--host", name), f"{command} --host {name}")
                asked[name] = ansible.variables(name, said)
        return ansible.hosts_of(data, asked, command)
    except ansible.FormatError as error:
        raise UsageError(
            "inventory", f"{command} does not print an inventory in Ansible's format: {error}"
        ) from error


def _decoded(printed: bytes, said: str) -> Value:
    try:
        return json.loads(printed)
    except (ValueError, RecursionError) as error:
        raise UsageError("inventory", f"{said} does not print JSON: {error}") from error


def _printed(command: str, project: Path, warnings: list[str], *options: str) -> bytes:
    try:
        words = [*shlex.split(command), *options]
    except ValueError as error:
        raise UsageError("inventory", f"inventory.command: {command}: {error}") from error
    said = shlex.join(words)
    try:
        ended = programs.run(
            words, env=process_env.of_user(), cwd=project, deadline_seconds=COMMAND_SECONDS
        )
    except programs.LateError:
        raise UsageError("inventory", f"{said} did not end within {COMMAND_SECONDS:g} s") from None
    except OSError as error:
        hint = f'For a file of Ansible: command = "ansible-inventory -i {command}".'
        hint = hint if (project / command).exists() else ""
        message = f"{said} cannot be run: {error.strerror}"
        raise UsageError("inventory", message, hint=hint) from error
    warnings += ended.errors_text.strip().splitlines()[-_SHOWN_LINES:]
    if ended.status != 0:
        detail = "\n".join(warnings)
        message = f"{said} ended with exit code {ended.status}"
        raise UsageError("inventory", message, detail=detail)
    return ended.output


def from_ssh_config(patterns: Sequence[str], path: Path | None) -> list[Host]:
    """The aliases of ssh_config (with its Includes) that match one of the patterns. Their options
    are read when they are connected to."""
    from cartwheel.ssh.config import USER_CONFIG, Configuration

    source = str(path or USER_CONFIG)
    return [
        Host(name, source, roles=(DEFAULT_ROLE,))
        for name in _aliases(Configuration(path).names())
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


def _aliases(names: set[str]) -> Iterator[str]:
    """Names of hosts without patterns, sorted."""
    return (name for name in sorted(names) if not set(name) & set("*?!"))
