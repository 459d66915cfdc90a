"""What only one host of the fleet has: who has it, and who is to have it; for every task that
decides what runs on hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cartwheel.commands.scene import Scene
from cartwheel.errors import CartwheelError, HostError
from cartwheel.plan import holders
from cartwheel.plan.holders import Held, Place
from cartwheel.plan.host_plan import Holder, HostPlan, Move
from cartwheel.plan.processes import stopped_text
from cartwheel.plan.switching import probe
from cartwheel.settings.toml_tables import Process
from cartwheel.ssh.address import parse_address

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import Facts
    from cartwheel.host.wire.marks import Stopped
    from cartwheel.host.wire.status import Status

_MARGIN_SECONDS = 30.0


@dataclass(frozen=True)
class Holding:
    """Who has what, for the hosts of a run. `written`: the name of each, as hosts write it down. By
    that name, `stopped`: the processes that somebody has stopped there. `last_job_seconds`: how
    long the last job of each may take."""

    scene: Scene
    written: Mapping[str, str]
    held: tuple[Held, ...]
    stopped: Mapping[str, Mapping[str, Stopped]]
    last_job_seconds: Mapping[str, float]

    def place(self, host: str) -> Place:
        """The host among the others."""
        return Place(self.scene.roles_of(host), self.written[host], self.held)

    @property
    def notes(self) -> tuple[str, ...]:
        said = [one.note for one in self.held if one.note]
        marks = {one.name: one.stopped for one in self.moves if one.stopped}
        said += [f"{stopped_text(name, mark)}, and stays so" for name, mark in marks.items()]
        return tuple(said)

    @property
    def moves(self) -> tuple[Move, ...]:
        """What changes its host once all have confirmed."""
        return tuple(self._move(one, one.then) for one in self.held if one.then and one.moves)

    def _move(self, one: Held, then: str) -> Move:
        settings = self.scene.settings
        process = settings.processes.get(one.name, Process())
        ready_seconds = settings.health.deadline_seconds + process.ready_seconds
        return Move(
            name=one.name,
            gives=self._holder(one.now) if one.now else None,
            takes=self._holder(then),
            stop_seconds=self.last_job_seconds[one.name] + _MARGIN_SECONDS,
            ready_seconds=ready_seconds + _MARGIN_SECONDS,
            probe=probe(settings),
            stopped=self._mark(one),
            is_known=one.is_known,
        )

    def _mark(self, one: Held) -> Stopped | None:
        """Who has stopped it, as its host says; where nobody has it, any host."""
        said = [self.stopped[one.now]] if one.now else self.stopped.values()
        return next((marks[one.name] for marks in said if one.name in marks), None)

    def _holder(self, written: str) -> Holder:
        host = next(host for host, name in self.written.items() if name == written)
        return Holder(host, written)

    def planned(self, plans: Mapping[str, HostPlan]) -> dict[str, HostPlan]:
        """The plans with what happens to all hosts."""
        return {
            host: replace(plan, moves=self.moves, notes=(*plan.notes, *self.notes))
            for host, plan in plans.items()
        }


def holding(scene: Scene, facts: Mapping[str, Facts]) -> Holding:
    """Decide from what the hosts say."""
    written = {host: written_name(scene, host) for host in facts}
    fleet = holders.Fleet(
        hosts={written_name(scene, host.name) for host in scene.fleet},
        reached={written[host]: one.app.assigned for host, one in facts.items()},
        missed={written_name(scene, host) for host in scene.hosts} - set(written.values()),
        move=scene.move_exclusive,
    )
    # A host that is only named, with -H, gives what it has to one of the fleet.
    every = {written_name(scene, host.name): host.roles for host in scene.fleet}
    onlies = holders.onlies(scene.settings, every, facts.values())
    held = tuple(holders.decide(only, fleet) for only in onlies)
    stopped = {written[host]: one.app.stopped_processes for host, one in facts.items()}
    limits = {only.name: only.seconds for only in onlies}
    return Holding(scene, written, held, stopped, limits)


def troubles(scene: Scene, statuses: Mapping[str, Status]) -> list[CartwheelError]:
    """What only one host may have, and none or several of these hosts have."""
    hint = "`fab status --finish` or the next deploy puts it in order."
    found = holders.troubles(_said(scene, statuses))
    return [HostError("not-well", text, hint=hint) for text in found]


def places(scene: Scene, statuses: Mapping[str, Status]) -> list[str]:
    """Which host of a fleet has what only one may have."""
    return holders.places(_said(scene, statuses)) if len(scene.fleet) > 1 else []


def _said(scene: Scene, statuses: Mapping[str, Status]) -> Mapping[str, holders.Said]:
    return {
        written_name(scene, host): (one.exclusive, one.assigned)
        for host, one in statuses.items()
        if one.release is not None
    }


def written_name(scene: Scene, host: str) -> str:
    """The host's name in the inventory, which does not depend on how it was called."""
    known = {one.name for one in scene.known}
    plain = parse_address(host).host
    return plain if host not in known and plain in known else host
