"""One request to the host side, as a step of a plan."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.request import Request
from cartwheel.settings import names

Stage: TypeAlias = Literal["upload", "venv", "install", "configure"]
"""Where preparing ends early, by the task that asks for it."""

SMALL_SECONDS = 60.0

A_co = TypeVar("A_co", covariant=True)


@dataclass(frozen=True)
class Step(Generic[A_co]):
    """One request to the host side. It may hold secrets, so it is never printed."""

    title: str
    deadline_seconds: float
    request: Request[A_co] = field(repr=False)
    blob: Path | None = None

    def digest(self, key: str) -> str:
        """A digest of the request that does not let anybody guess a secret in it."""
        return names.keyed_digest(key, json.dumps(to_json(self.request), sort_keys=True))


# Any: steps of one list have requests and answers of different types.
AnyStep: TypeAlias = Step[Any]
