"""Any other balancer, by a hook that is called for each host: see `command` and `http`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cartwheel.background import side_by_side
from cartwheel.balance.memory import Memory
from cartwheel.errors import CartwheelError, HostError
from cartwheel.fleet.balancer import State, refuse_emptied, stuck
from cartwheel.host.wire.balancer import By
from cartwheel.plan.balancing import Member, to_take_out

_AT_ONCE = 16
CALLED = "the balancer"

# Called with `out` or `back` and the host. Raises CartwheelError("balancer").
Hook = Callable[[str, Member], None]


@dataclass(frozen=True)
class Hooked:
    """A balancer that only `hook` can reach; this machine remembers which hosts are out."""

    hook: Hook
    members: Mapping[str, Member]
    memory: Memory
    timeout_seconds: float
    by: By = "deploy"

    @property
    def around_seconds(self) -> float:
        rounds = -(-len(self.members) // _AT_ONCE)
        return 2 * rounds * self.timeout_seconds

    def states(self) -> list[State]:
        """The states, as far as this machine knows them."""
        known = self.memory.read()
        return [
            State(host, "-", member.server not in known, known.get(member.server, ""))
            for host, member in self.members.items()
        ]

    def refuse(self, batches: Sequence[Sequence[str]]) -> None:
        inside = [state.host for state in self.states() if state.is_in]
        if len(self.members) > 1 or self.by == "person":
            refuse_emptied(batches, {CALLED: inside})

    def out(self, hosts: Sequence[str]) -> dict[str, CartwheelError]:
        going = to_take_out(hosts, self.members)
        self.memory.note(self._servers(going), self.by)
        failed = self._each("out", going)
        return {
            host: HostError("balancer", f"could not be taken out: {why}", host=host)
            for host, why in failed.items()
        }

    def back(self, hosts: Sequence[str]) -> dict[str, CartwheelError]:
        known = self.memory.read()
        coming = [
            host
            for host in hosts
            if host in self.members
            and (self.by == "person" or known.get(self.members[host].server) == "deploy")
        ]
        failed = self._each("back", coming)
        self.memory.forget(self._servers([host for host in coming if host not in failed]))
        return {host: stuck(host, CALLED, why) for host, why in failed.items()}

    def close(self) -> dict[str, CartwheelError]:
        """Return all hosts that a deploy left out, this one or an earlier one."""
        return self.back(list(self.members))

    def _servers(self, hosts: Sequence[str]) -> list[str]:
        return [self.members[host].server for host in hosts]

    def _each(self, action: str, hosts: Sequence[str]) -> dict[str, str]:
        """Call the hook for these hosts in parallel; the reasons of failures, by host."""
        said = side_by_side(lambda host: self._call(action, host), hosts, _AT_ONCE)
        return {host: why for host, why in said.items() if why}

    def _call(self, action: str, host: str) -> str:
        try:
            self.hook(action, self.members[host])
        except CartwheelError as error:
            return error.message
        return ""
