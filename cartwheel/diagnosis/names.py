"""Name resolution as a whole; that a single name does not exist is in `services`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cartwheel.diagnosis import followed
from cartwheel.diagnosis.cause import GUESSED, SOON, STOPS, Case, Cause

# The resolver waits five seconds for a server that does not answer (resolv.conf(5)); an ordinary
# lookup takes some milliseconds.
_SLOW_SECONDS = 2.0
_FOLLOWS = followed.APP | {"service-unknown", "service-slow", "service-refuses", "names"}


def causes(case: Case) -> Iterator[Cause]:
    """Name servers that do not answer, and lookups that fail because of it."""
    lookups = case.found.lookups
    servers = [one for one in lookups if one.kind == "server"]
    dead = [one for one in servers if one.problem]
    failing = [one for one in lookups if one.kind == "name" and one.problem and one.passing]
    slow = [one for one in lookups if not one.problem and one.seconds > _SLOW_SECONDS]
    evidence = (
        *(f"name server {one.name}: {one.problem}" for one in dead),
        *(f"{one.name} ({', '.join(one.variables)}): {one.problem}" for one in failing),
        *(f"{one.name}: took {one.seconds:.1f} s" for one in slow),
    )
    todo = f"check /etc/resolv.conf on {case.host}, and whether its name servers can be reached"
    if dead:
        some = ", ".join(one.name for one in dead)
        all_dead = len(dead) == len(servers)
        verb = "does" if len(dead) == 1 else "do"
        weight = STOPS if failing else GUESSED if all_dead or slow else SOON
        which = "no name server answers" if all_dead else f"name server {some} {verb} not answer"
        yield Cause(
            "names",
            f"{which}: {some}" if all_dead else which,
            todo,
            weight,
            evidence,
            began=changed_at(case),
            explains=_FOLLOWS,
        )
    elif failing and servers:
        yield Cause(
            "names",
            f"names cannot be looked up: {', '.join(one.name for one in failing)}",
            todo,
            STOPS,
            evidence,
            began=changed_at(case),
            explains=_FOLLOWS,
        )
    elif slow:
        yield Cause(
            "names",
            f"looking up a name takes {max(one.seconds for one in slow):.1f} s",
            todo,
            GUESSED,
            evidence,
            began=changed_at(case),
            explains=_FOLLOWS,
        )


_FILES = re.compile(
    r"/etc/(?:hosts|resolv\.conf|nsswitch\.conf|systemd/resolved|network/|netplan/|NetworkManager/)"
    r"|(?:resolved|networkd|networking|NetworkManager)\.service"
)


def changed_at(case: Case) -> float | None:
    """When in that time something was changed that names are looked up by: nothing else tells
    since when a name is unknown."""
    found = case.found
    times = [
        one.at
        for one in found.changes
        if one.kind in ("file", "service") and one.at >= found.since and _FILES.search(one.detail)
    ]
    return max(times, default=None)
