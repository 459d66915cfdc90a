"""What can be wrong, and what a look at it says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of trouble.

    `bad_looks`: so many looks in a row must be bad before anybody is told, `good_looks`: so many
    good before it is over. `grave`: visitors notice. `by_deploys`: a deploy, rollback or restart
    makes it happen, so it says nothing while one holds the app's lock, and shortly after. `plural`
    says it of several hosts: `{hosts}`, `{app}`.
    """

    name: str
    bad_looks: int = 2
    good_looks: int = 1
    grave: bool = False
    by_deploys: bool = False
    follows: tuple[str, ...] = ()


SITE = Kind("site", grave=True)
"""The site does not answer as it should, from outside."""
HOST = Kind("host")
"""The host cannot be looked into."""
ERRORS = Kind("errors", bad_looks=3, good_looks=6, grave=True, follows=("site",))
"""The share of 5xx answers is high."""
SLOW = Kind("slow", bad_looks=6, good_looks=6, follows=("site", "errors"))
"""Answers are much slower than usual."""
PROCESS = Kind("process", by_deploys=True, follows=("host",))
"""A process of the live release does not run."""
RESTARTS = Kind("restarts", bad_looks=1, good_looks=30, by_deploys=True, follows=("process",))
"""systemd starts a process again and again."""
TIMER = Kind("timer", bad_looks=1, by_deploys=True)
"""A timer's run failed, or is late."""
MEMORY = Kind("memory", bad_looks=6, good_looks=6)
"""The host has hardly any memory left."""
DISK = Kind("disk", bad_looks=3, good_looks=3)
"""A disk is full, or soon will be."""
CLOCK = Kind("clock", bad_looks=3, good_looks=3)
"""The host's clock is wrong."""
CERTIFICATE = Kind("certificate", bad_looks=2)
"""What is served ends soon, or has ended."""
BEHIND = Kind("behind", bad_looks=3, by_deploys=True)
"""The host serves another release than the others."""
DEPLOY = Kind("deploy", bad_looks=1)
"""A deploy failed, went back, or was cut off."""
NETWORK = Kind("network")
"""Most hosts fail at once: perhaps it is the monitor's own network."""

KINDS = {
    kind.name: kind
    for kind in (
        *(SITE, HOST, ERRORS, SLOW, PROCESS, RESTARTS, TIMER, MEMORY, DISK, CLOCK, CERTIFICATE),
        *(BEHIND, DEPLOY, NETWORK),
    )
}


@dataclass(frozen=True)
class Subject:
    """What a look is about: `app` is "" for a host as a whole, `host` is "" for a site as a whole;
    `about` is the process, the timer, the disk, ..."""

    kind: str
    app: str
    host: str
    about: str = ""


@dataclass(frozen=True)
class Verdict:
    """What one look says of a subject. `problem`: "" where all is well; None: the look could not
    tell. `release`: the one that served."""

    subject: Subject
    at: float
    problem: str | None
    release: str = ""
