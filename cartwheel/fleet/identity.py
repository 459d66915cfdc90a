"""Finds two names for the same host: a deploy to both would wait for itself."""

from __future__ import annotations

from collections.abc import Mapping

from cartwheel.errors import CartwheelError, HostError
from cartwheel.fleet.sessions import Fleet, successes
from cartwheel.host.wire.request import Hello


def ask(fleet: Fleet) -> dict[str, CartwheelError]:
    """`twins` of all hosts that are still in the run, by their boot ids."""
    answers = fleet.each(lambda _host, one: one.request(Hello()))
    return twins(fleet, {host: one.boot_id for host, one in successes(answers).items()})


def twins(fleet: Fleet, boot_ids: Mapping[str, str]) -> dict[str, CartwheelError]:
    """An error for every name except the first, for each host with several names.

    Cloned machines share the SSH host key, containers of one machine share the boot id
    (random(4)): only the same host has both.
    """
    first: dict[tuple[str, str], str] = {}
    found: dict[str, CartwheelError] = {}
    for name, boot_id in boot_ids.items():
        other = first.setdefault((fleet.sessions[name].host_key, boot_id), name)
        if other != name:
            message = f"this is the same host as {other}"
            found[name] = HostError("same-host", message, host=name)
    return found
