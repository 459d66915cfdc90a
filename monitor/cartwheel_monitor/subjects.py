"""What can be wrong, and what a look at it says."""

from __future__ import annotations

from dataclasses import dataclass

# What goes down within so short a time is told together. Of a site it is a part of the 45 s after
# which somebody has heard of it. Hosts are looked into one after the other, within 20 s: what they
# say takes as long to come together. Of hosts that are silent, after 15 s it is clear whether they
# are most.
SITE_GATHER_SECONDS = 3.0
HOST_GATHER_SECONDS = 15.0
LOOK_GATHER_SECONDS = 25.0
AGAIN_SECONDS = 3600.0
TOGETHER_SECONDS = 120.0
# Shares and times are of some minutes: the same trouble shows sooner on a busy host.
_SHARE_TOGETHER_SECONDS = 600.0
_DAY = 86400.0


@dataclass(frozen=True)
class Kind:
    """One kind of trouble.

    `bad_looks`: so many looks in a row must be bad before anybody is told, `good_looks`: so many
    good before it is over. `grave`: visitors notice. `by_deploys`: a deploy, rollback or restart
    makes it happen, so it says nothing while one holds the app's lock, and shortly after. `event`:
    it happened and is no state; it is told once. `gather_seconds`: how long others may join it
    before it is told; `again_seconds`: when it is told again while it lasts. What begins within
    `together_seconds` before or after another trouble of the same place or kind has the same cause.
    """

    name: str
    bad_looks: int = 2
    good_looks: int = 1
    grave: bool = False
    by_deploys: bool = False
    follows: tuple[str, ...] = ()
    event: bool = False
    gather_seconds: float = LOOK_GATHER_SECONDS
    again_seconds: float = AGAIN_SECONDS
    together_seconds: float = TOGETHER_SECONDS


SITE = Kind("site", grave=True, gather_seconds=SITE_GATHER_SECONDS)
"""The site does not answer as it should, from outside."""
HOST = Kind("host", gather_seconds=HOST_GATHER_SECONDS)
"""The host cannot be looked into."""
ERRORS = Kind(
    "errors",
    bad_looks=3,
    good_looks=6,
    grave=True,
    follows=("site",),
    together_seconds=_SHARE_TOGETHER_SECONDS,
)
"""The share of 5xx answers is high."""
SLOW = Kind(
    "slow",
    bad_looks=6,
    good_looks=6,
    follows=("site", "errors"),
    together_seconds=_SHARE_TOGETHER_SECONDS,
)
"""Answers are much slower than usual."""
PROCESS = Kind("process", by_deploys=True, follows=("host",))
"""A process of the live release does not run."""
RESTARTS = Kind("restarts", bad_looks=1, good_looks=30, by_deploys=True, follows=("process",))
"""systemd starts a process again and again."""
TIMER = Kind("timer", bad_looks=1, by_deploys=True, again_seconds=_DAY)
"""A timer's run failed, or is late."""
MEMORY = Kind("memory", bad_looks=6, good_looks=6)
"""The host has hardly any memory left."""
DISK = Kind("disk", bad_looks=3, good_looks=30)
"""A disk is full, or soon will be."""
CLOCK = Kind("clock", bad_looks=3, good_looks=3)
"""The host's clock is wrong."""
CERTIFICATE = Kind("certificate", bad_looks=2, again_seconds=_DAY)
"""What is served ends soon, or has ended."""
BEHIND = Kind("behind", bad_looks=3, by_deploys=True)
"""The host serves another release than the others."""
DEPLOY = Kind("deploy", bad_looks=1, event=True)
"""A deploy failed, went back, or was cut off."""
UNFINISHED = Kind("unfinished", bad_looks=3, by_deploys=True)
"""A switch is not confirmed, and no run works on it."""
NETWORK = Kind("network", gather_seconds=HOST_GATHER_SECONDS)
"""Most hosts fail at once: perhaps it is the monitor's own network."""

KINDS = {
    kind.name: kind
    for kind in (
        *(SITE, HOST, ERRORS, SLOW, PROCESS, RESTARTS, TIMER, MEMORY, DISK, CLOCK, CERTIFICATE),
        *(BEHIND, DEPLOY, UNFINISHED, NETWORK),
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
