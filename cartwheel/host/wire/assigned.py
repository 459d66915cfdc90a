"""`assigned.json` says what runs on a host. A switch moves it, and the way back restores it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Dict, Iterator, Optional, Tuple

from cartwheel.host.wire.instance import WEB, Instance

_TIMER = "timer "


def held_timer(name: str) -> str:
    """What a timer is called among what only one host has. A process has its own name, which holds
    no blank."""
    return _TIMER + name


def timer_of(held: str) -> Optional[str]:
    """The timer that is called so; None: it is a process."""
    return held[len(_TIMER) :] if held.startswith(_TIMER) else None


@dataclass(frozen=True)
class Assigned:
    """The processes that run on this host, each with its number of instances. A host of an earlier
    version has no file and runs web. `holders`: what only one host of the fleet has, and the name
    of that host, as far as this one knows ("": it does not). `slots`: of processes that were
    restarted alone; until the next switch they are not in the slot of the others.
    `timers`: those that are here."""

    counts: Dict[str, int] = field(default_factory=lambda: {WEB: 1})
    holders: Dict[str, str] = field(default_factory=dict)
    slots: Dict[str, str] = field(default_factory=dict)
    timers: Tuple[str, ...] = ()

    def side(self, release: str, slot: str) -> Iterator[Instance]:
        """The instances of a release that run together; web, if it runs here, comes first."""
        for process in sorted(self.counts, key=lambda name: (name != WEB, name)):
            if process == WEB:
                yield Instance(WEB, release, slot)
            else:
                own = self.slots.get(process, slot)
                for number in range(1, self.counts[process] + 1):
                    yield Instance(process, release, own, number)

    def has(self, name: str) -> bool:
        """Whether this host has it: a process, or what `held_timer` names."""
        return bool(self.counts.get(name)) or timer_of(name) in self.timers

    def having(self, name: str, me: str) -> "Assigned":
        """This host has it from now on."""
        what, timer = self.without(name, me), timer_of(name)
        if timer is None:
            return replace(what, counts={**what.counts, name: 1})
        return replace(what, timers=tuple(sorted((*what.timers, timer))))

    def without(self, name: str, holder: str) -> "Assigned":
        """Another one does."""
        return replace(
            self,
            counts={one: count for one, count in self.counts.items() if one != name},
            holders={**self.holders, name: holder},
            timers=tuple(one for one in self.timers if one != timer_of(name)),
        )

    @property
    def has_web(self) -> bool:
        return bool(self.counts.get(WEB))
