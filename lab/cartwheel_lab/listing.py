"""The file in which a lab lists its hosts for Cartwheel, which reads it like any inventory
(cartwheel/inventory/lab.py). So the engine does not import the lab."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartwheel_lab.lab import LabHost


def text(hosts: Iterable[LabHost]) -> str:
    """TOML: a table for each host, with everything that is needed to reach it."""
    head = "# The hosts of this lab. The lab overwrites this file; do not edit it.\n"
    return head + "".join(map(_table, hosts))


def _table(host: LabHost) -> str:
    values: dict[str, str | int] = {
        "address": host.address,
        "port": host.port,
        "user": host.user,
        "identity": str(host.identity),
        "known_hosts": str(host.known_hosts),
        "python": host.interpreter,
    }
    lines = "".join(f"{key} = {_value(value)}\n" for key, value in values.items())
    return f"\n[hosts.{host.name}]\n{lines}"


def _value(value: str | int) -> str:
    """A JSON string is also a TOML string, except for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
