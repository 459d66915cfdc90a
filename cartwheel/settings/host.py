"""One host of an inventory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """What an inventory says about one host. None: the settings, ssh_config or a default decide.

    `address` is where it is, `[USER@]HOST[:PORT]`, where that is not its name. `source` says
    where it comes from, for people. `ssh_options` are keywords of ssh_config, in small letters,
    with their values. `refused` says why the host cannot be reached as it is described.
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
