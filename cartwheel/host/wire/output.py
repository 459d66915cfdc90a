"""What a running application says, as events: its logs, and commands beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

from cartwheel.host.wire.request import Done, Request


@dataclass(frozen=True)
class ReadLogs(Request[Done]):
    """The last `lines` of each log; with `follow` also what comes, until contact is lost."""

    op = "logs"
    lines: int
    follow: bool


@dataclass(frozen=True)
class Ran:
    """How the command ended in the environment of this release: -N by signal N."""

    status: int
    release: str


@dataclass(frozen=True)
class Run(Request[Ran]):
    """Run a shell command in the serving release's environment, as the app's user."""

    op = "run"
    command: str


@dataclass(frozen=True)
class Variables:
    """Where each variable of the serving release comes from; no values."""

    release: str
    names: Dict[str, str]


@dataclass(frozen=True)
class AskVariables(Request[Variables]):
    """Name the variables."""

    op = "variables"
