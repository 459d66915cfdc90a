"""What a run wants of a balancer, whatever its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cartwheel.errors import CartwheelError, HostError, UsageError
from cartwheel.plan.balancing import emptied

By = Literal["deploy", "person"]


class Balancer(Protocol):
    """Hosts that it does not know are left alone. What a deploy took out and did not put back
    comes back when its balancer is closed."""

    @property
    def around_seconds(self) -> float:
        """How long taking hosts out and putting them back may take, at most."""
        ...

    def refuse(self, batches: Sequence[Sequence[str]]) -> None:
        """Raises UsageError("balancer-empty") where one of them would leave nobody in."""
        ...

    def out(self, hosts: Sequence[str]) -> dict[str, CartwheelError]:
        """Take these hosts out and wait until their requests are done; those that are still
        in, and why."""
        ...

    def back(self, hosts: Sequence[str]) -> dict[str, CartwheelError]:
        """Put them back; those that are still out, and why: "balancer-stuck"."""
        ...


@dataclass(frozen=True)
class State:
    """One host in one balancer. `is_in` None: it is not known there. `down`: why the balancer
    itself sends nothing to anybody; "" if it works."""

    host: str
    balancer: str
    is_in: bool | None
    by: str = ""
    who: str = ""
    since: str = ""
    down: str = ""


def lacking(states: Sequence[State]) -> Iterator[CartwheelError]:
    """What keeps visitors away: a balancer that is down or has nobody in, a host that its
    balancer does not know. A host that somebody took out is none of these."""
    for name in dict.fromkeys(one.balancer for one in states):
        of_it = [one for one in states if one.balancer == name]
        if of_it[0].down:
            hint = f"`fab nginx.reload -H {name}` starts it."
            yield HostError("not-well", of_it[0].down, host=name, hint=hint)
        elif not any(one.is_in for one in of_it):
            hint = "`fab balancer.back -H HOST` puts a host back; `fab status` says which is well."
            called = f"the balancer {name}".removesuffix(" -")  # a hook's has no name
            yield HostError("not-well", f"no host is in {called}", hint=hint)
    for one in states:
        if one.is_in is None:
            hint = "`fab balancer.setup` tells nginx; HAProxy's own file lists its servers."
            message = f"the balancer {one.balancer} does not know this host"
            yield HostError("not-well", message, host=one.host, hint=hint)


def refuse_emptied(batches: Sequence[Sequence[str]], inside: Mapping[str, Sequence[str]]) -> None:
    """`inside`: who is in, by balancer. Raises UsageError("balancer-empty")."""
    for name, hosts in inside.items():
        for batch in batches:
            if emptied(batch, hosts):
                raise UsageError(
                    "balancer-empty",
                    f"with {', '.join(batch)} out at once nobody would be left in {name}",
                )


def stuck(host: str, balancer: str, why: str) -> CartwheelError:
    """A host that is still out, with what puts it back."""
    return HostError(
        "balancer-stuck",
        f"could not be put back into {balancer}: {why}",
        host=host,
        hint=f"`fab balancer.back -H {host}` puts it back.",
    )
