"""Two names for one host: a deploy to both would make it wait for itself."""

from __future__ import annotations

from collections.abc import Mapping

from cartwheel.errors import CartwheelError, HostError
from cartwheel.fleet.sessions import Fleet, successes
from cartwheel.host.wire.request import Hello


def ask(fleet: Fleet) -> dict[str, CartwheelError]:
    """`twins` of all hosts that stand, by asking each for the id of its boot."""
    answers = fleet.each(lambda _host, one: one.request(Hello()))
    return twins(fleet, {host: one.boot_id for host, one in successes(answers).items()})


def twins(fleet: Fleet, boot_ids: Mapping[str, str]) -> dict[str, CartwheelError]:
    """An error for every name but the first of each host that has several.

    Machines that were cloned share the SSH host key, containers of one machine the boot's id
    (random(4)): only one host has both.
    """
    first: dict[tuple[str, str], str] = {}
    found: dict[str, CartwheelError] = {}
    for name, boot_id in boot_ids.items():
        other = first.setdefault((fleet.sessions[name].host_key, boot_id), name)
        if other != name:
            message = f"this is the same host as {other}"
            found[name] = HostError("same-host", message, host=name)
    return found
