"""A host of an inventory, and the hosts in the settings: `hosts` and [inventory]; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartwheel.decoded import Table

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import HostVariables, Inventory, InventoryHost, Settings

# The place of a key of the settings, e.g. `.cartwheel/environments/live.toml:3`.
PlaceOf = Callable[[tuple[str | int, ...]], str]

DEFAULT_ROLE = "web"
# The role of hosts that Cartwheel uses as balancers.
BALANCER_ROLE = "balancer"


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
    monitor_address: str | None = None
    refused: str | None = None


def from_settings(settings: Settings, place_of: PlaceOf) -> list[Host]:
    """The hosts in the order of the files: the list `hosts`, the tables, hosts that are only in
    a group."""
    inventory = settings.inventory
    places: dict[str, str] = {}
    for number, name in enumerate(settings.hosts):
        places.setdefault(name, place_of(("hosts", number)))
    for name in inventory.hosts:
        places.setdefault(name, place_of(("inventory", "hosts", name)))
    for group, table in inventory.groups.items():
        for number, name in enumerate(table.hosts):
            places.setdefault(name, place_of(("inventory", "groups", group, "hosts", number)))
    return [_host(name, place, inventory) for name, place in places.items()]


def _host(name: str, place: str, inventory: Inventory) -> Host:
    from cartwheel.settings.toml_tables import HostVariables, InventoryHost

    own = inventory.hosts.get(name) or InventoryHost()
    groups = groups_of(name, own, inventory)
    # A missing group is reported by the checks of the settings, which also call this.
    said: list[HostVariables] = [
        own,
        *(inventory.groups[one] for one in groups if one in inventory.groups),
    ]
    values: Table = {
        key: next((value for one in said if (value := getattr(one, key)) is not None), None)
        for key in HostVariables.model_fields
        if key != "roles"
    }
    roles = tuple(dict.fromkeys(role for one in said for role in one.roles))
    return Host(
        name=name,
        source=place,
        address=own.address,
        roles=roles or (DEFAULT_ROLE,),
        groups=groups,
        **{**values, "weight": values["weight"] or 1},
    )


def groups_of(name: str, own: InventoryHost, inventory: Inventory) -> tuple[str, ...]:
    """The groups of a host, the nearest first: a nearer group wins."""
    direct = [group for group, table in inventory.groups.items() if name in table.hosts]
    found = dict.fromkeys([*own.groups, *direct])
    for group in _outer(list(found), inventory):
        found.setdefault(group)
    return tuple(found)


def _outer(groups: list[str], inventory: Inventory) -> Iterator[str]:
    """The groups that contain these, level by level. A loop ends where it began."""
    seen = set(groups)
    while groups:
        groups = [
            group
            for group, table in inventory.groups.items()
            if group not in seen and any(child in groups for child in table.children)
        ]
        seen.update(groups)
        yield from groups
