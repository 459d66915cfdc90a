"""Balancers on our own hosts: nginx and HAProxy, by sessions with these hosts.

What differs between the two is on the host (cartwheel/host/balancer/); here it is only
each member's `way`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cartwheel.errors import CartwheelError, HostError
from cartwheel.fleet.balancer import State, refuse_emptied, stuck
from cartwheel.fleet.sessions import Fleet, failures, successes
from cartwheel.host.wire.balancer import AskStandings, By, Failed, PutBack, Standing, TakeOut, Way
from cartwheel.host.wire.request import Request
from cartwheel.plan.balancing import Member, to_take_out

_SMALL_SECONDS = 60.0

Ways = Mapping[str, Way]


@dataclass(frozen=True)
class Hosted:
    """`fleet` are the locked hosts with the balancers, `ways` are by server, `states` are each
    balancer's answers about each host."""

    fleet: Fleet
    members: Mapping[str, Member]
    ways: Ways
    states: Sequence[State]
    drain_seconds: float
    wait_seconds: float
    by: By = "deploy"

    @property
    def around_seconds(self) -> float:
        return self.drain_seconds + self.wait_seconds + 2 * _SMALL_SECONDS

    def refuse(self, batches: Sequence[Sequence[str]]) -> None:
        inside = {
            _called(one): [
                state.host for state in self.states if state.balancer == one and state.is_in
            ]
            for one in self.fleet.sessions
            if len(self._behind(one)) > 1 or self.by == "person"
        }
        refuse_emptied(batches, inside)

    def out(self, hosts: Sequence[str]) -> dict[str, CartwheelError]:
        going = {one: to_take_out(hosts, self._behind(one)) for one in self.fleet.sessions}
        failed = self._ask(
            going, lambda ways: TakeOut(ways, self.by, self.drain_seconds), self.drain_seconds
        )
        problems: dict[str, CartwheelError] = {
            host: HostError("balancer", f"could not be taken out of {name}: {why}", host=host)
            for host, (name, why) in failed.items()
        }
        if self.by == "person":
            problems |= {host: _unknown(host) for host in hosts if host not in self._known()}
        return problems

    def back(self, hosts: Sequence[str]) -> dict[str, CartwheelError]:
        coming = {
            one: [host for host in hosts if host in self._behind(one)]
            for one in self.fleet.sessions
        }
        failed = self._ask(
            coming, lambda ways: PutBack(ways, self.by, self.wait_seconds), self.wait_seconds
        )
        return {host: stuck(host, name, why) for host, (name, why) in failed.items()}

    def _ask(
        self,
        hosts: Mapping[str, Sequence[str]],
        request: Callable[[dict[str, Way]], Request[Failed]],
        seconds: float,
    ) -> dict[str, tuple[str, str]]:
        """One request to each balancer about its `hosts`; where and why each failed host failed."""
        theirs = {
            one: {self.members[host].server: host for host in some} for one, some in hosts.items()
        }

        answers = self.fleet.each(
            lambda one, session: session.request(
                request({server: self.ways[server] for server in theirs[one]}),
                deadline_seconds=seconds + _SMALL_SECONDS,
                on_event=self.fleet.listener(one),
            ),
            [one for one, servers in theirs.items() if servers],
        )
        failed: dict[str, tuple[str, str]] = {}
        for one, answer in answers.items():
            if isinstance(answer, CartwheelError):
                said = dict.fromkeys(theirs[one], answer.message)
            else:
                said = answer.failed
            failed |= {theirs[one][server]: (_called(one), why) for server, why in said.items()}
        return failed

    def _known(self) -> set[str]:
        return {host for one in self.fleet.sessions for host in self._behind(one)}

    def _behind(self, one: str) -> list[str]:
        return [s.host for s in self.states if s.balancer == one and s.is_in is not None]


def _unknown(host: str) -> CartwheelError:
    return HostError(
        "balancer",
        "no balancer knows this host",
        host=host,
        hint="For nginx run `fab balancer.setup`; for HAProxy add the server to its configuration.",
    )


def _called(one: str) -> str:
    return f"the balancer on {one}"


def look(fleet: Fleet, members: Mapping[str, Member], ways: Ways) -> list[State]:
    """The state of each member in each balancer. Raises the balancers' failures."""
    found, failed = look_at_each(fleet, members, ways)
    for error in failed.values():
        raise error
    return found


def look_at_each(
    fleet: Fleet, members: Mapping[str, Member], ways: Ways
) -> tuple[list[State], dict[str, CartwheelError]]:
    """The states from balancers that answer, and the failures of the others."""
    answers = fleet.ask(AskStandings(dict(ways)))
    found = [
        _state(one, member.name, answer.hosts[member.server], answer.down)
        for one, answer in successes(answers).items()
        for member in members.values()
    ]
    return found, failures(answers)


def _state(one: str, host: str, standing: Standing, down: str) -> State:
    state = State(host, one, standing.is_in, down=down)
    mark = standing.mark
    return state if mark is None else replace(state, by=mark.by, who=mark.who, since=mark.since)
