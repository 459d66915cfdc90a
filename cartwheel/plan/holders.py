"""Which host of a fleet has what only one host may have: an exclusive process, a timer; pure.

Every host writes down whether it has it, and which host does (`Assigned.holders`). A host's own
word about itself counts most; what it wrote about others says where to look. Where no host of the
run has it, it starts only if none of the others can have it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from cartwheel.plan import processes

if TYPE_CHECKING:
    from cartwheel.host.wire.assigned import Assigned
    from cartwheel.host.wire.facts import Facts
    from cartwheel.settings.toml_tables import Settings


@dataclass(frozen=True)
class Only:
    """Something that one host has: its name (of a timer: `held_timer`), the hosts that may have it,
    and the one that is to have it, if somebody chose. `seconds`: how long its last job may take."""

    name: str
    hosts: tuple[str, ...]
    on: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Fleet:
    """All hosts that may run the app, by name; what runs on those that this run reached; those that
    it wanted to reach and did not. `move`: somebody vouches that none of the hosts that the run
    does not reach has anything."""

    hosts: Collection[str]
    reached: Mapping[str, Assigned] = field(default_factory=dict)
    missed: Collection[str] = ()
    move: bool = False


@dataclass(frozen=True)
class Held:
    """Who has it. `now`: the host of the run that has it through its switch; None: none of them.
    `then`: the host that is to have it once all have confirmed. `written`: what all hosts write
    down in their switch; "": nobody knows. `note`: what a person must know. `is_known`: the host
    that had it last is in the run, and knows it."""

    name: str
    now: str | None
    then: str | None
    written: str
    note: str = ""
    is_known: bool = True

    @property
    def moves(self) -> bool:
        """Whether another host has to get it after the switch."""
        return self.then is not None and self.then != self.now


@dataclass(frozen=True)
class Place:
    """A host among the others: its roles, the name that they write down, and who has what only one
    of them has."""

    roles: Collection[str] = ()
    written: str = ""
    held: tuple[Held, ...] = ()


ALONE = Place()


def onlies(
    settings: Settings, hosts: Mapping[str, Collection[str]], facts: Collection[Facts] = ()
) -> list[Only]:
    """The exclusive processes and the timers that one host has, and which of these hosts may have
    each by their roles. `facts`: of the hosts of the run."""
    from cartwheel.host.wire.assigned import held_timer

    may = {host: processes.assigned(settings, roles, cpus=1) for host, roles in hosts.items()}
    chosen = {name: one.on for name, one in settings.processes.items() if one.exclusive}
    timers = {name: one.on for name, one in settings.timers.items() if one.hosts == "one"}
    chosen |= {held_timer(name): on for name, on in timers.items()}
    return [
        Only(
            name,
            tuple(sorted(host for host in may if may[host].has(name))),
            on,
            processes.last_job_seconds(settings, name, facts),
        )
        for name, on in chosen.items()
    ]


def decide(only: Only, fleet: Fleet) -> Held:
    """Who has it in this run, and who is to have it afterwards."""
    having = sorted(host for host, what in fleet.reached.items() if what.has(only.name))
    known = {what.holders.get(only.name, "") for what in fleet.reached.values()} - {""}
    if having:
        return _stays_or_moves(only, fleet, having, known)
    elsewhere = sorted(known - set(fleet.reached))
    if elsewhere and not fleet.move:
        return Held(only.name, None, None, elsewhere[0], _not_here(only, fleet, elsewhere[0]))
    unknown = sorted(set(fleet.hosts) - set(fleet.reached))
    if unknown and not fleet.move:
        note = (
            f"{only.name} runs nowhere that is known, and this run does not reach"
            f" {', '.join(unknown)}: no host starts it (`--move-exclusive` does)"
        )
        return Held(only.name, None, None, "", note)
    return _free(only, fleet, known, unknown)


def _stays_or_moves(only: Only, fleet: Fleet, having: list[str], known: Collection[str]) -> Held:
    """Of several, which only a person can have caused, one keeps it."""
    now = next((host for host in having if host in known), having[0])
    if only.on in having:
        now = only.on
    possible = _possible(only, fleet)
    then = now if only.on is None and now in only.hosts else next(iter(possible), now)
    notes = []
    if len(having) > 1:
        notes.append(f"{only.name} was on {', '.join(having)}; only {then} keeps it")
    elif then != now:
        notes.append(
            f"{only.name} moves from {now} to {then} once all hosts have confirmed;"
            f" its last job there may take {only.seconds:g} s"
        )
    elif now not in only.hosts or only.on not in (None, now):
        notes.append(f"{only.name} stays on {now}: no host of this run may have it")
    return Held(only.name, now, then, now, "; ".join(notes))


def _possible(only: Only, fleet: Fleet) -> list[str]:
    """The hosts of the run that may have it, the best first."""
    wanted = only.hosts if only.on is None else (only.on,)
    return sorted(host for host in wanted if host in fleet.reached)


def _not_here(only: Only, fleet: Fleet, holder: str) -> str:
    """Why it stays on a host that this run does not reach; "" if that is as it should be."""
    if holder in fleet.missed:
        why = "which cannot be reached"
    elif holder not in fleet.hosts:
        why = "which is no host of the app any more"
    elif only.on not in (None, holder):
        why = f"and should be on {only.on}: name both with -H"
    else:
        return ""
    return (
        f"{only.name} is on {holder}, {why}: it stays there."
        f" With {holder} among the hosts of a deploy it moves; if {holder} is off for good,"
        " `--move-exclusive` gives it to another host"
    )


def _free(only: Only, fleet: Fleet, known: Collection[str], unknown: Collection[str]) -> Held:
    """Nobody has it. If no other host ever had, the switch of a host starts it; else it may still
    end somewhere, which is asked for first."""
    possible = _possible(only, fleet)
    if not possible:
        who = only.on or "a host with its role"
        note = f"{only.name} runs nowhere: it needs {who}, which is not in this run"
        return Held(only.name, None, None, "", note)
    is_alone = {*fleet.hosts, *fleet.reached, *known} == {possible[0]}
    if (is_alone or not known) and not fleet.move:
        return Held(only.name, possible[0], possible[0], possible[0])
    note = f"{only.name} runs nowhere; {possible[0]} gets it once all hosts have confirmed"
    is_known = not unknown and all(
        host in fleet.reached and only.name in fleet.reached[host].holders for host in known
    )
    return Held(only.name, None, possible[0], "", note, is_known)


def here(what: Assigned, host: str, held: Iterable[Held]) -> Assigned:
    """What a host runs in its switch, of all that it may run."""
    for one in held:
        change = what.having if one.now == host else what.without
        what = change(one.name, one.written)
    return what


# What a host says: what only one host may have, by its live release, and what it runs.
Said: TypeAlias = "tuple[Collection[str], Assigned]"


def places(found: Mapping[str, Said]) -> list[str]:
    """Where what only one host may have is, if it is on one."""
    where = {
        name: having or sorted(known - found.keys()) for name, having, known in _of_each(found)
    }
    return [f"{name} is on {hosts[0]}" for name, hosts in where.items() if len(hosts) == 1]


def troubles(found: Mapping[str, Said]) -> list[str]:
    """What is wrong with what only one host may have."""
    said = []
    for name, having, known in _of_each(found):
        if len(having) > 1:
            said.append(f"{name} is on {' and '.join(having)}, and may only be on one")
        elif not having and known <= found.keys():
            said.append(f"{name} runs nowhere")
    return said


def _of_each(found: Mapping[str, Said]) -> Iterator[tuple[str, list[str], set[str]]]:
    """Each with the hosts that have it, and those that have it by the word of others."""
    for name in sorted({name for names, _what in found.values() for name in names}):
        having = sorted(host for host, (_names, what) in found.items() if what.has(name))
        known = {what.holders.get(name, "") for _names, what in found.values()} - {""}
        yield name, having, known
