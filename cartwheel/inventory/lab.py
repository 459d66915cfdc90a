"""The disposable hosts of a lab on this machine, from the file in which the lab lists them."""

from __future__ import annotations

import os
from pathlib import Path

from cartwheel import places
from cartwheel.decoded import Value
from cartwheel.errors import UsageError
from cartwheel.settings.layers import Layer, Mistake, Place, read
from cartwheel.ssh.address import LAST_PORT
from cartwheel.ssh.target import LabHost

_TEXTS = ("address", "user", "identity", "known_hosts", "python")
_PORT = "port"


def lab_hosts(project: Path) -> dict[str, LabHost]:
    """The hosts by name; none if this person has no lab. Raises UsageError("inventory")."""
    path = places.lab_hosts(places.lab_dir(project))
    if not os.access(path, os.R_OK):  # it is missing, or belongs to another person
        return {}
    layer = read(path, project)
    if isinstance(layer, Mistake):
        raise _refusal(layer)
    hosts = layer.data.get("hosts")
    if not isinstance(hosts, dict):
        raise _refusal(Mistake(Place(str(path)), "there is no table [hosts]"))
    return {name: _host(name, table, layer) for name, table in hosts.items()}


def _host(name: str, table: Value, layer: Layer) -> LabHost:
    said = table if isinstance(table, dict) else {}
    for key in dict.fromkeys((*_TEXTS, _PORT, *said)):
        wanted = _wanted(key, said.get(key))
        if wanted:
            place = layer.place(("hosts", name, key)) or Place("")
            raise _refusal(Mistake(place, f"hosts.{name}.{key}: {wanted}"))
    return LabHost(
        address=said["address"],
        port=said[_PORT],
        user=said["user"],
        identity=Path(said["identity"]),
        known_hosts=Path(said["known_hosts"]),
        python=said["python"],
    )


def _wanted(key: str, value: object) -> str:
    """The mistake in the value of a key; empty if there is none."""
    if key in _TEXTS:
        return "" if isinstance(value, str) else "expected a string in quotes"
    if key != _PORT:
        return "unknown key"
    is_port = type(value) is int and 0 < value <= LAST_PORT
    return "" if is_port else f"expected a number from 1 to {LAST_PORT}"


def _refusal(mistake: Mistake) -> UsageError:
    return UsageError("inventory", str(mistake), hint="`fab lab.up` writes this file again.")
