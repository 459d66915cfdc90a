"""The user's own commands on a host, as the application's user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

from cartwheel.host.wire.request import Done, Request


@dataclass(frozen=True)
class Migrate(Request[Done]):
    """Run a prepared release's command before the release goes live."""

    op = "migrate"
    release: str
    command: str
    timeout_seconds: float


@dataclass(frozen=True)
class RunHook(Request[Done]):
    """Run a hook; these variables override those of the release."""

    op = "hook"
    hook: str
    release: str
    command: str
    timeout_seconds: float
    variables: Dict[str, str]
