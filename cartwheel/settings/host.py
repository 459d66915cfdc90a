"""One host of an inventory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """One host of an inventory. None: the settings, ssh_config or a default decide.

    `address` is `[USER@]HOST[:PORT]`, if it differs from the name. `source` says where the host
    comes from, for people. `ssh_options` are keywords of ssh_config, in lower case, with their
    values. `refused` is the reason why the host cannot be reached with this description.
    """

    name: str
    source: str
    address: str | None = None
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    user: str | None = None
    port: int | None = None
    identity: str | None = None
    gateway: str | None = None
    ssh_options: tuple[tuple[str, str], ...] = ()
    python: str | None = None
    weight: int = 1
    balancer_name: str | None = None
    inner_address: str | None = None
    refused: str | None = None
