"""The interface of a balancer, for all kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cartwheel.errors import CartwheelError, HostError, UsageError
from cartwheel.plan.balancing import emptied


class Balancer(Protocol):
    """It leaves hosts that it does not know alone. When it is closed, it returns the hosts that a
    deploy took out and left out."""

    @property
    def around_seconds(self) -> float:
        """Upper bound for the time to take hosts out and return them."""
        ...

    def refuse(self, batches: Sequence[Sequence[str]]) -> None:
        """Raises UsageError("balancer-empty") if one of the batches would empty the balancer."""
        ...

    def out(self, hosts: Sequence[str]) -> dict[str, CartwheelError]:
        """Take these hosts out and drain them; returns the hosts that are still in, and why."""
        ...

    def back(self, hosts: Sequence[str]) -> dict[str, CartwheelError]:
        """Put them back; returns the hosts that are still out, and why: "balancer-stuck"."""
        ...


@dataclass(frozen=True)
class State:
    """One host in one balancer. `is_in` None: the balancer does not know it. `down`: why the
    balancer itself does not work; "" if it works."""

    host: str
    balancer: str
    is_in: bool | None
    by: str = ""
    who: str = ""
    since: str = ""
    down: str = ""


def lacking(states: Sequence[State]) -> Iterator[CartwheelError]:
    """The problems for visitors: a balancer that is down or has no host in, a host that its
    balancer does not know. A host that was taken out on purpose is not a problem."""
    for name in dict.fromkeys(one.balancer for one in states):
        of_it = [one for one in states if one.balancer == name]
        if of_it[0].down:
            hint = f"`fab nginx.reload -H {name}` starts it."
            yield HostError("not-well", of_it[0].down, host=name, hint=hint)
        elif not any(one.is_in for one in of_it):
            out = ",".join(one.host for one in of_it)
            hint = f"`fab balancer.back -H {out}` puts them back; `fab status` shows healthy hosts."
            called = f"the balancer {name}".removesuffix(" -")  # with a hook it has no name
            yield HostError("not-well", f"no host is in {called}", hint=hint)
    for one in states:
        if one.is_in is None:
            hint = "For nginx run `fab balancer.setup`; for HAProxy edit its configuration."
            message = f"the balancer {one.balancer} does not know this host"
            yield HostError("not-well", message, host=one.host, hint=hint)


def refuse_emptied(batches: Sequence[Sequence[str]], inside: Mapping[str, Sequence[str]]) -> None:
    """`inside`: the hosts that are in, by balancer. Raises UsageError("balancer-empty")."""
    for name, hosts in inside.items():
        for batch in batches:
            if emptied(batch, hosts):
                raise UsageError(
                    "balancer-empty",
                    f"with {', '.join(batch)} out at once no host would be left in {name}",
                )


def stuck(host: str, balancer: str, why: str) -> CartwheelError:
    """The error for a host that is still out, with the command that returns it."""
    return HostError(
        "balancer-stuck",
        f"could not be returned to {balancer}: {why}",
        host=host,
        hint=f"Run `fab balancer.back -H {host}`.",
    )
