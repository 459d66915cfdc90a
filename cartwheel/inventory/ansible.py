"""Ansible's inventory JSON, as its inventory scripts print it; pure.

The format: https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html
(`--list`, `_meta.hostvars`); names of variables:
https://docs.ansible.com/ansible/latest/reference_appendices/special_variables.html
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import TypedDict

from cartwheel.decoded import Fields, Table, Value
from cartwheel.settings.hosts import Host
from cartwheel.ssh.address import LAST_PORT
from cartwheel.ssh.arguments import ArgumentError, Option, parse

Variables = Fields


class Group(TypedDict):
    """A group of an inventory."""

    hosts: list[str]
    children: list[str]
    vars: Variables


_ALL = "all"
_UNGROUPED = "ungrouped"
_META = "_meta"
_TEMPLATE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_UNSAFE, _VAULT = "__ansible_unsafe", "__ansible_vault"  # in the output of ansible-inventory
_ONLY = "of templates Cartwheel reads only {{ NAME }} with a variable of the host"
_PRIORITY = "ansible_group_priority"
_ENV = re.compile(r"\S*/env\s+(\S+)")  # `/usr/bin/env python3` looks in PATH, as we do
# Ansible's names; the first one that is set counts.
_NAMES = {
    "address": ("ansible_host", "ansible_ssh_host"),
    "user": ("ansible_user", "ansible_ssh_user"),
    "port": ("ansible_port", "ansible_ssh_port"),
    "identity": ("ansible_private_key_file", "ansible_ssh_private_key_file"),
    "gateway": ("cartwheel_gateway",),
    "python": ("ansible_python_interpreter",),
    "weight": ("cartwheel_weight",),
    "roles": ("cartwheel_roles",),
    "balancer_name": ("cartwheel_balancer_name",),
    "inner_address": ("cartwheel_inner_address",),
    "monitor_address": ("cartwheel_monitor_address",),
}
# In the order in which Ansible passes them to ssh, where the first value of a keyword counts.
_SSH_ARGUMENTS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
_CONNECTION = "ansible_connection"
_JUMPS = ("proxyjump", "proxycommand")
_BY_SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")


class FormatError(ValueError):
    """The output is not an inventory; the message says why."""


def host_names(data: object) -> list[str]:
    """Every host in the groups, in their order. Raises FormatError."""
    groups = _groups(data)
    names = (name for group in groups.values() for name in group["hosts"])
    return list(dict.fromkeys([*names, *_hostvars(data)]))


def has_hostvars(data: object) -> bool:
    """Whether `--list` printed the variables of all hosts; if not, `--host NAME` does."""
    return isinstance(data, dict) and isinstance(data.get(_META), dict)


def variables(name: str, said: object) -> Variables:
    """Decode the output of `--host NAME`. Raises FormatError."""
    if not isinstance(said, dict):
        raise FormatError(f"the variables of {name} are not a table")
    return said


def hosts_of(data: object, asked: Mapping[str, Variables], source: str) -> list[Host]:
    """The hosts of an inventory. `asked` are variables from `--host`.

    A host's groups are its roles too, unless `cartwheel_roles` says so. Raises FormatError.
    """
    groups, own = _groups(data), {**_hostvars(data), **asked}
    return [_host(name, groups, own.get(name, {}), source) for name in host_names(data)]


def _host(name: str, groups: Mapping[str, Group], own: Variables, source: str) -> Host:
    order = _by_precedence(name, groups)
    around = [group for group in reversed(order) if group not in (_ALL, _UNGROUPED)]
    merged: Table = {}
    for group in order:
        merged |= groups[group]["vars"]
    merged, unread = _read(name, {**merged, **own})
    values = {key: _first(merged, names) for key, names in _NAMES.items()}
    roles = values["roles"]
    python, unknown = _interpreter(_text(name, _NAMES["python"][0], values["python"]))
    options, refused = _ssh_options(merged)
    gateway = _text(name, "cartwheel_gateway", values["gateway"])
    first = next((option for option in options if option[0] in _JUMPS), ("", ""))
    if gateway is None and first[0] == "proxyjump":
        gateway = first[1]
    if gateway is not None:
        options = tuple(option for option in options if option[0] not in _JUMPS)
    return Host(
        name=name,
        source=source,
        address=_text(name, "ansible_host", values["address"]),
        roles=_names(name, roles) if roles is not None else tuple(around),
        groups=tuple(around),
        user=_text(name, "ansible_user", values["user"]),
        port=_number(name, "ansible_port", values["port"], LAST_PORT),
        identity=_text(name, "ansible_private_key_file", values["identity"]),
        gateway=gateway,
        ssh_options=options,
        refused=refused or unread or unknown,
        python=python,
        weight=_number(name, "cartwheel_weight", values["weight"]) or 1,
        balancer_name=_text(name, "cartwheel_balancer_name", values["balancer_name"]),
        inner_address=_text(name, "cartwheel_inner_address", values["inner_address"]),
        monitor_address=_text(name, "cartwheel_monitor_address", values["monitor_address"]),
    )


def _read(host: str, said: Variables) -> tuple[Table, str | None]:
    """The variables that count, with the values of `{{ NAME }}` in them; and why one of them cannot
    be read. It is a reason against this host only: an inventory has others too."""
    known = {key: _plain(value) for key, value in said.items()}
    known |= {"inventory_hostname": host, "inventory_hostname_short": host.partition(".")[0]}
    found, unread = dict(known), None
    for key in (*itertools.chain(*_NAMES.values()), *_SSH_ARGUMENTS, _CONNECTION):
        value = known.get(key)
        try:
            found[key] = _filled(value, known, (key,)) if isinstance(value, str) else value
        except _TemplateError:
            found[key], unread = None, unread or f"{key} is {value}; {_ONLY}"
        if isinstance(value, dict) and _VAULT in value:
            found[key], unread = None, unread or f"{key} is encrypted; Cartwheel cannot read it"
    return found, unread


class _TemplateError(ValueError):
    """A template that only Ansible can fill in."""


def _filled(text: str, known: Variables, above: tuple[str, ...]) -> str:
    """A text with the values of the variables that it names."""

    def value_of(found: re.Match[str]) -> str:
        value = known.get(found[1])
        if found[1] in above or not isinstance(value, str | int):
            raise _TemplateError
        return _filled(str(value), known, (*above, found[1]))

    filled = _TEMPLATE.sub(value_of, text)
    if "{{" in filled or "{%" in filled:
        raise _TemplateError
    return filled


def _plain(value: Value) -> Value:
    """A value without Ansible's mark for texts that are no templates."""
    return value[_UNSAFE] if isinstance(value, dict) and _UNSAFE in value else value


def _groups(data: object) -> dict[str, Group]:
    """Every group as a table with hosts, children and vars; a bare list is its hosts."""
    if not isinstance(data, dict):
        raise FormatError("it is not a table of groups")
    found: dict[str, Group] = {}
    for name, value in data.items():
        if name == _META:
            continue
        table = {"hosts": value} if isinstance(value, list) else value
        if not isinstance(table, dict):
            raise FormatError(f"the group {name} is neither a list nor a table")
        found[name] = {
            "hosts": _list(name, "hosts", table),
            "children": _list(name, "children", table),
            "vars": _table(name, table.get("vars")),
        }
    return found


def _list(group: str, key: str, table: Variables) -> list[str]:
    value = table.get(key) or []
    if isinstance(value, dict):  # as in a YAML inventory
        value = list(value)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise FormatError(f"{key} of the group {group} must be a list of names")
    return value


def _table(group: str, value: object) -> Variables:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FormatError(f"vars of the group {group} must be a table")
    return value


def _hostvars(data: object) -> dict[str, Variables]:
    meta = data.get(_META) if isinstance(data, dict) else None
    found = meta.get("hostvars", {}) if isinstance(meta, dict) else {}
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise FormatError("_meta.hostvars must be a table of tables")
    return found


def _by_precedence(name: str, groups: Mapping[str, Group]) -> list[str]:
    """A host's groups, the weakest first, as Ansible merges their variables: by their depth below
    `all`, then `ansible_group_priority`, then name."""
    parents: dict[str, list[str]] = {group: [] for group in groups}
    for group, table in groups.items():
        for child in table["children"]:
            if child in parents and child != _ALL:
                parents[child].append(group)
    found = {group for group, table in groups.items() if name in table["hosts"]} | {_ALL}
    waiting = list(found & groups.keys())
    while waiting:
        above = {parent for parent in parents[waiting.pop()] if parent not in found}
        found |= above
        waiting += above
    depths = _depths(parents)
    there = (group for group in found if group in groups)
    return sorted(there, key=lambda one: (depths[one], _priority(one, groups[one]), one))


def _depths(parents: Mapping[str, list[str]]) -> dict[str, int]:
    """The longest way from `all` to each group; a circle of groups counts once."""
    found: dict[str, int] = {}

    def depth(group: str, below: frozenset[str]) -> int:
        if group == _ALL:
            return 0
        if group not in found:
            above = [one for one in parents[group] if one not in below]
            found[group] = 1 + max((depth(one, below | {group}) for one in above), default=0)
        return found[group]

    return {group: depth(group, frozenset({group})) for group in parents}


def _priority(name: str, group: Group) -> int:
    said = group["vars"].get(_PRIORITY, 1)
    try:
        return int(said)
    except (TypeError, ValueError, OverflowError):
        raise FormatError(f"{_PRIORITY} of the group {name} must be a number: {said}") from None


def _interpreter(text: str | None) -> tuple[str | None, str | None]:
    """The interpreter, None for the usual one; and why a value cannot be used."""
    # With `auto` and similar values Ansible looks for an interpreter.
    if text is None or text.startswith("auto"):
        return None, None
    found = _ENV.fullmatch(text)
    python = found[1] if found else text
    if re.search(r"\s", python):
        return None, f"{_NAMES['python'][0]} is {text}; it must be one program"
    return python, None


def _first(merged: Variables, names: Iterable[str]) -> Value:
    return next((merged[name] for name in names if merged.get(name) is not None), None)


def _names(host: str, value: Value) -> tuple[str, ...]:
    """A list of names, or one text with commas or spaces."""
    given = re.split(r"[,\s]+", value) if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise FormatError(f"cartwheel_roles of {host} must be a list of names")
    return tuple(one for one in given if one)


def _text(host: str, name: str, value: Value) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise FormatError(f"{name} of {host} must be plain text")
    return str(value) or None


def _number(host: str, name: str, value: Value, most: int | None = None) -> int | None:
    if value is None:
        return None
    text = str(value)
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text) or (most is not None and int(text) > most):
        raise FormatError(f"{name} of {host} must be a number: {text}")
    return int(text)


def _ssh_options(merged: Variables) -> tuple[tuple[Option, ...], str | None]:
    """The options that Ansible would pass to ssh, or why they cannot be honoured. A host is
    refused only when it is connected to, because an inventory has others too."""
    connection = str(merged.get(_CONNECTION) or "ssh").rpartition(".")[2]
    if connection not in _BY_SSH:
        return (), f"ansible_connection is {connection}; Cartwheel only supports SSH"
    found: list[Option] = []
    for name in _SSH_ARGUMENTS:
        text = merged.get(name) or ""
        if not isinstance(text, str):
            return (), f"{name} must be plain text"
        try:
            found += parse(text)
        except ArgumentError as error:
            return (), f"{name}: {error}"
    return tuple(found), None
