"""What the engine reports while it works. `cartwheel/terminal/` decides how a person sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cartwheel.host.wire.messages import State


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    `host` is empty for the operator's machine. `seconds` is how long the step took, on its
    last event only.
    """

    step: str
    state: State
    detail: str = ""
    host: str = ""
    seconds: float | None = None


Emit = Callable[[Event], None]


def silent(_event: Event) -> None:
    """An `Emit` for callers that do not listen."""
