"""When nothing is told: in a silence, in maintenance, and about what a deploy does itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cartwheel_monitor.subjects import ERRORS, KINDS, SITE, SLOW, Verdict

# A deploy's last steps, and the first answers of its hosts, come shortly after its lock is free.
SETTLING_SECONDS = 60.0
# What visitors of a closed site see is meant.
_OF_VISITORS = (SITE.name, ERRORS.name, SLOW.name)


@dataclass(frozen=True)
class Silence:
    """Nobody is told until then; about all, or one app, or one host. `why` and `who`: shown."""

    until: float
    why: str
    who: str
    app: str = ""
    host: str = ""

    def covers(self, look: Verdict) -> bool:
        about = look.subject
        fits = (not self.app or self.app == about.app) and (
            not self.host or self.host == about.host
        )
        return fits and look.at < self.until


@dataclass(frozen=True)
class Circumstances:
    """What is going on. `locked`: when an app's lock was last seen held, by app and host; `closed`:
    the apps in maintenance."""

    locked: Mapping[tuple[str, str], float] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()
    silences: tuple[Silence, ...] = ()


def heard(look: Verdict, now: Circumstances) -> Verdict:
    """The look as it counts: one that is no news cannot tell whether anything is wrong. A site that
    does not answer always counts while a deploy runs: deploys never make it so."""
    if look.problem and (is_hushed(look, now) or _by_deploy(look, now)):
        return replace(look, problem=None)
    return look


def is_hushed(look: Verdict, now: Circumstances) -> bool:
    """Whether people asked not to hear of it: by a silence, or by closing the site."""
    about = look.subject
    closed = about.app in now.closed and about.kind in _OF_VISITORS
    return closed or any(one.covers(look) for one in now.silences)


def _by_deploy(look: Verdict, now: Circumstances) -> bool:
    about = look.subject
    if not KINDS[about.kind].by_deploys:
        return False
    since = now.locked.get((about.app, about.host))
    return since is not None and look.at - since < SETTLING_SECONDS
