"""What a run wants of a balancer, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """One host in one balancer. `is_in` None: it is not known there."""

    host: str
    balancer: str
    is_in: bool | None
    by: str = ""
    who: str = ""
    since: str = ""


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
