"""Requests that print as events: the application's logs, and commands in its environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.request import Done, Request


@dataclass(frozen=True)
class ReadLogs(Request[Done]):
    """Read the last `lines` of each log (None: all), in order of time; with `follow`, new lines too
    until contact is lost.

    Only lines from these `sources` (empty: all), not older than `ago_seconds`, in which the regular
    expression `pattern` is found, that are `errors`, of a `release` (its name or version), of
    these `processes`.
    """

    op = "logs"
    lines: Optional[int]
    follow: bool
    sources: Tuple[str, ...] = ()
    ago_seconds: Optional[float] = None
    pattern: str = ""
    errors: bool = False
    release: str = ""
    processes: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Ran:
    """The exit status of the command (-N: killed by signal N), and the release it ran in."""

    status: int
    release: str


@dataclass(frozen=True)
class Run(Request[Ran]):
    """Run a shell command in the live release's environment, as the app's user."""

    op = "run"
    command: str


@dataclass(frozen=True)
class Variables:
    """The source of each variable of the live release; no values."""

    release: str
    names: Dict[str, str]


@dataclass(frozen=True)
class AskVariables(Request[Variables]):
    """List the variables."""

    op = "variables"
