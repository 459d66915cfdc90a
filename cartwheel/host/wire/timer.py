"""Timers: how a release describes them, what a host keeps of their runs, and requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Literal, Optional, Tuple

from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.request import Done, Request

# How a run ended; "cut": with the host's power, by a signal from outside, or nobody knows how.
Result = Literal["running", "done", "failed", "timeout", "cut"]


@dataclass(frozen=True)
class Timer:
    """A timer of a release. `schedule`: five fields of cron; `zone`: "" for the host's own.
    `catch_up`: a run that was missed is made up. `timeout_seconds`: of its job. `program`: the
    first word of its command."""

    schedule: str = ""
    zone: str = ""
    catch_up: bool = True
    timeout_seconds: float = 3600.0
    program: str = ""

    @property
    def key(self) -> str:
        """What decides when it is due."""
        return f"{self.schedule} {self.zone}".strip()


@dataclass(frozen=True)
class Run:
    """A run of a timer's job. `due`: the time that it is for (seconds since the epoch); None: it
    was asked for by `who`. `detail`: how it ended, for people. `asked`: the id of the question."""

    number: int
    started: float
    due: Optional[float] = None
    who: str = ""
    asked: str = ""
    release: str = ""
    ended: Optional[float] = None
    result: Result = "running"
    detail: str = ""


@dataclass(frozen=True)
class TimerState:
    """A timer that is here. `active`: systemd waits for its next time, `following`. `paused`: by
    whom. `runs`: the last ones, newest first."""

    name: str
    timer: Timer
    active: bool
    following: Optional[float]
    paused: Optional[Stopped]
    runs: Tuple[Run, ...]


@dataclass(frozen=True)
class Timers:
    """The timers that are on a host. `stopped`: the mark of `fab stop`, which stops them too.
    `elsewhere`: the other timers of the live release that one host has, and that host ("": this one
    does not know it). `last_jobs`: what is still under way of timers that have left this host."""

    timers: Tuple[TimerState, ...]
    stopped: Optional[Stopped]
    elsewhere: Dict[str, str]
    last_jobs: Dict[str, Run]


@dataclass(frozen=True)
class AskTimers(Request[Timers]):
    """The timers of this host."""

    op = "timers"


@dataclass(frozen=True)
class RunTimer(Request[Run]):
    """Start the job of a timer now, whether it is due or not; the run that has begun."""

    op = "timer-run"
    name: str


@dataclass(frozen=True)
class PauseTimer(Request[Done]):
    """Let a timer start nothing until it is resumed."""

    op = "timer-pause"
    name: str


@dataclass(frozen=True)
class ResumeTimer(Request[Done]):
    """Lift the pause."""

    op = "timer-resume"
    name: str


@dataclass(frozen=True)
class ReadRun(Request[Run]):
    """Send what a run printed as events; with `follow` until it has ended. `number`: None for the
    last run. The answer: the run as it is then."""

    op = "timer-output"
    name: str
    number: Optional[int]
    follow: bool
