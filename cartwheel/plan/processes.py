"""Which processes and timers a host has, and how a release describes them; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cartwheel.host.wire.instance import WEB
from cartwheel.plan.refusals import stopped_refusal
from cartwheel.settings import command_words, formula

if TYPE_CHECKING:
    from cartwheel.host.wire.assigned import Assigned
    from cartwheel.host.wire.facts import Facts
    from cartwheel.host.wire.instance import Instance
    from cartwheel.host.wire.marks import Stopped
    from cartwheel.host.wire.process import Process, Starts
    from cartwheel.host.wire.timer import Timer
    from cartwheel.plan.host_plan import HostPlan
    from cartwheel.settings import toml_tables
    from cartwheel.settings.toml_tables import Settings

# TimeoutStopSec in templates/job.service.j2
_KILLED_AFTER_SECONDS = 30.0


def assigned(settings: Settings, roles: Collection[str], cpus: int) -> Assigned:
    """What a host with these roles may run. A host that was named although it has no role of the
    app counts as one with `app.roles`."""
    from cartwheel.host.wire.assigned import Assigned

    mine = set(roles) & set(settings.host_roles) or set(settings.app.roles)
    every = (WEB, *(name for name in settings.processes if name != WEB))
    here = [name for name in every if mine & set(settings.roles_of(name))]
    timers = [name for name in settings.timers if mine & set(settings.roles_of_timer(name))]
    return Assigned(
        {name: _count(settings, name, cpus) for name in here},
        timers=tuple(sorted(timers)),
    )


def lacking_hosts(settings: Settings, hosts: Iterable[Collection[str]]) -> dict[str, str]:
    """The processes and timers that none of these hosts has, by their roles: the setting of each,
    and its roles."""
    every = [assigned(settings, roles, cpus=1) for roles in hosts]
    run = {name for one in every for name in one.counts}
    have = {name for one in every for name in one.timers}
    wanted = {
        f"processes.{name}": settings.roles_of(name) for name in settings.processes.keys() - run
    }
    wanted |= {
        f"timers.{name}": settings.roles_of_timer(name) for name in settings.timers.keys() - have
    }
    return {setting: " or ".join(wanted[setting]) for setting in sorted(wanted)}


def _count(settings: Settings, name: str, cpus: int) -> int:
    process = settings.processes.get(name)
    count = process.count if process else 1
    return count if isinstance(count, int) else formula.evaluate(count, cpus)


def described(settings: Settings) -> dict[str, Process]:
    """The processes besides web, as a release's manifest describes them."""
    return {
        name: _described(settings, process)
        for name, process in settings.processes.items()
        if name != WEB
    }


def _described(settings: Settings, process: toml_tables.Process) -> Process:
    from cartwheel.host.wire.process import Process

    return Process(
        starts=_starts(process),
        program=command_words.parse(process.command or "")[0].literal or "",
        ready=process.ready or "",
        ready_seconds=process.ready_seconds,
        deadline_seconds=settings.health.deadline_seconds,
        stop_seconds=process.stop_seconds,
    )


def described_timers(settings: Settings) -> dict[str, Timer]:
    """The timers in the same way."""
    from cartwheel.host.wire.timer import Timer

    return {
        name: Timer(
            schedule=" ".join(timer.schedule.split()),
            zone=timer.zone or "",
            catch_up=timer.catch_up,
            timeout_seconds=timer.timeout_seconds,
            program=command_words.parse(timer.command)[0].literal or "",
        )
        for name, timer in settings.timers.items()
    }


def timers_after(settings: Settings, plan: HostPlan) -> dict[str, Timer]:
    """The timers that a host has after a deploy that changes something."""
    assigned = plan.switch.assigned if plan.switch else None
    names = assigned.timers if assigned else ()
    return {name: one for name, one in described_timers(settings).items() if name in names}


def _starts(process: toml_tables.Process) -> Starts:
    if process.exclusive:
        return "last"
    return "beside" if process.overlap else "instead"


def stopped_notes(facts: Facts, what: Assigned) -> Iterator[str]:
    """The processes that somebody has stopped, which a deploy therefore does not start."""
    for name, mark in facts.app.stopped_processes.items():
        if name in what.counts:
            yield f"{stopped_text(name, mark)}; `fab process.start --name {name}` starts it"


def stopped_text(name: str, mark: Stopped) -> str:
    return f"{name} is {stopped_refusal(mark).message}"


@dataclass(frozen=True)
class ProcessChange:
    """The units of a process, besides web, that a plan starts and stops. `when`: as in the
    manifest. `stop_seconds`: the time limit of the last job, in the release that stops."""

    process: str
    starts: tuple[str, ...]
    stops: tuple[str, ...]
    when: Starts
    stop_seconds: float


def changes(
    settings: Settings,
    facts: Facts,
    starts: Iterable[tuple[Instance, str]],
    stops: Iterable[tuple[Instance, str]],
) -> tuple[ProcessChange, ...]:
    """What happens to each process besides web, from instances and their units."""
    new: dict[str, list[str]] = {}
    old: dict[str, list[str]] = {}
    limits: dict[str, float] = {}
    for one, unit in starts:
        new.setdefault(one.process, []).append(unit)
    for one, unit in stops:
        old.setdefault(one.process, []).append(unit)
        own = processes_of(facts, one.release).get(one.process)
        limits[one.process] = max(limits.get(one.process, 0.0), own.stop_seconds if own else 0.0)
    known = described(settings)
    return tuple(
        ProcessChange(
            name,
            tuple(new.get(name, ())),
            tuple(old.get(name, ())),
            known[name].starts if name in known else "beside",
            limits.get(name, 0.0),
        )
        for name in sorted({*new, *old} - {WEB})
    )


def restart_seconds(known: Mapping[str, Process]) -> float:
    """How long it may take to restart these processes."""
    return switch_seconds(known, {name: one.stop_seconds for name, one in known.items()})


def switch_seconds(new: Mapping[str, Process], stop_seconds: Mapping[str, float]) -> float:
    """How much longer a switch may take because of its processes: those that may overlap get ready
    together, the others one by one, each once the last job of the old one has ended."""
    ready = {name: one.deadline_seconds + one.ready_seconds for name, one in new.items()}
    alone = [name for name, one in new.items() if one.never_twice]
    own = [ready[name] + stop_seconds.get(name, 0.0) for name in alone]
    return max(ready.values(), default=0.0) + sum(own)


def processes_of(facts: Facts, release: str | None) -> Mapping[str, Process]:
    """The processes of a release on the host, as its manifest describes them."""
    found = (one.processes for one in facts.app.releases if one.release == release)
    return next(found, {})


def stop_seconds(facts: Facts) -> dict[str, float]:
    """How long the last job of each process may take there, in any release: an old one may still be
    at work."""
    found: dict[str, float] = {}
    for release in facts.app.releases:
        for name, one in release.processes.items():
            found[name] = max(found.get(name, 0.0), one.stop_seconds)
    return found


def last_job_seconds(settings: Settings, held: str, hosts: Iterable[Facts]) -> float:
    """How long the last job of what only one host has may take: as the settings or any release on
    these hosts says."""
    from cartwheel.host.wire.assigned import timer_of

    timer = timer_of(held)
    if timer is None:
        before = [stop_seconds(facts).get(held, 0.0) for facts in hosts]
        return max([settings.processes[held].stop_seconds, *before])
    releases = [release for facts in hosts for release in facts.app.releases]
    before = [release.job_seconds.get(timer, 0.0) for release in releases]
    return max([settings.timers[timer].timeout_seconds, *before]) + _KILLED_AFTER_SECONDS
