"""Requests about the processes of an application: list them; stop, start and restart some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Literal, Optional, Tuple

from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.process import Process
from cartwheel.host.wire.request import Request
from cartwheel.host.wire.timer import Timers

# draining: it was asked to stop and finishes its work. failed: it ended by itself. down: it should
# run and does not. stopped: somebody stopped it, or the whole app.
State = Literal["running", "starting", "draining", "failed", "down", "stopped"]


@dataclass(frozen=True)
class Row:
    """An instance of a process. `instance`: its slot and number. `since_seconds`: how long it has
    been in this state, if known. `until_seconds`: how long one that is draining may take at most.
    `restarts`: by systemd. `ended`: how one that has failed ended, in systemd's words. `stopped`:
    who stopped its process, or the whole app."""

    process: str
    instance: str
    release: str
    state: State
    since_seconds: Optional[float]
    until_seconds: Optional[float]
    memory_bytes: Optional[int]
    restarts: int
    main_pid: int
    ended: str
    stopped: Optional[Stopped]


@dataclass(frozen=True)
class Processes:
    """`release` is live. First come the instances that belong to it, then the others; `timers`
    have their last runs. `known`: the processes besides web that this host may be asked to stop, as
    the live release describes them."""

    release: Optional[str]
    instances: Tuple[Row, ...]
    timers: Timers
    known: Dict[str, Process]


@dataclass(frozen=True)
class AskProcesses(Request[Processes]):
    """List every process and timer."""

    op = "processes"


@dataclass(frozen=True)
class Handled:
    """`names`: those of the processes that belong to this host. `draining`: their instances that
    still finish their jobs. `elsewhere`: those of the processes that only one host has, and which
    other one has them."""

    changed: bool
    names: Tuple[str, ...]
    draining: Tuple[Row, ...]
    elsewhere: Dict[str, str]


@dataclass(frozen=True)
class StopProcesses(Request[Handled]):
    """Stop these processes until `StartProcesses`, also across reboots and deploys."""

    op = "process-stop"
    names: Tuple[str, ...]


@dataclass(frozen=True)
class StartProcesses(Request[Handled]):
    """Start these processes, and wait until they are ready."""

    op = "process-start"
    names: Tuple[str, ...]
    probe: Probe


@dataclass(frozen=True)
class RestartProcesses(Request[Handled]):
    """Replace the instances of these processes by new ones, and wait until those are ready."""

    op = "process-restart"
    names: Tuple[str, ...]
    probe: Probe
