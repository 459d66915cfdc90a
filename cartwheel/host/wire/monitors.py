"""Requests about who may watch a host: the keys of monitors, which only read (wire/look.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Tuple

from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Allowed:
    """`user`: whom the monitor logs in as. `changed`: what is different now, as text. `version`,
    `protocol`: of the look that is installed, which may be a later one than was sent. `problems`:
    why it may not see all of an app, each as a sentence."""

    user: str
    changed: Tuple[str, ...]
    version: str
    protocol: int
    problems: Tuple[str, ...] = ()


@dataclass(frozen=True)
class AllowMonitor(Request[Allowed]):
    """Let a monitor look at this host with its key: `key` is its public one, as in a file
    (ssh-ed25519 AAAA...). `sources`: the addresses it may come from, as sshd's `from=` has them;
    none: any. `version`: of Cartwheel. A monitor of this name that is allowed already gets this
    key instead."""

    op = "monitor-allow"
    name: str
    key: str
    sources: Tuple[str, ...]
    version: str


@dataclass(frozen=True)
class Forbidden:
    """What was removed, as text, and the monitors that may still look."""

    removed: Tuple[str, ...]
    left: Tuple[str, ...]


@dataclass(frozen=True)
class ForbidMonitor(Request[Forbidden]):
    """Take the key of the monitor of this name away, and end its connections; with the last one
    everything that was made for monitors. A monitor that is not allowed is no error."""

    op = "monitor-forbid"
    name: str


@dataclass(frozen=True)
class Monitors:
    """The public keys that may look, by the name of the monitor; the look's version, "" where none
    is installed."""

    user: str
    keys: Dict[str, str] = field(default_factory=dict)
    version: str = ""
    protocol: int = 0


@dataclass(frozen=True)
class AskMonitors(Request[Monitors]):
    """Who may look at this host."""

    op = "monitor-status"


@dataclass(frozen=True)
class Sshd:
    """What sshd says of the user of monitors. `settings`: those that decide about a login, as
    `sshd -T` prints them; `reasons`: those that refuse it, each as a sentence. `problem`: why sshd
    could not be asked."""

    settings: Tuple[str, ...] = ()
    reasons: Tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class AskSshd(Request[Sshd]):
    """Why sshd may refuse a monitor's key that is installed: its settings for that user, who comes
    from this address (`Match` blocks)."""

    op = "monitor-sshd"
    address: str
