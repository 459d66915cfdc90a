"""What a plan is made of: `fab plan` prints the very objects that `fab deploy` runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartwheel.plan.hooks import Hook


@dataclass(frozen=True)
class Step:
    """One request to the host side. `args` may hold secrets, so they are never printed."""

    op: str
    title: str
    deadline_seconds: float
    args: Mapping[str, Any] = field(repr=False, default_factory=dict)
    blob: Path | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a host cannot take the release; `slug` is a key of the error catalogue."""

    slug: str
    message: str


@dataclass(frozen=True)
class HostPlan:
    """What a deploy will do on one host. `unchanged` plans have no steps but their journal line."""

    release: str
    version: str
    current: str | None
    unchanged: bool
    fresh: bool  # the release is made by this plan
    prepare: tuple[Step, ...]
    switch: Step
    migrate: Step | None = None  # once in the fleet, on the first host that has it
    hooks: tuple[Hook, ...] = ()  # the same on all hosts of a run
    notes: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    premise: str = ""  # the host's digest of what this plan was made from
    seq: int = 0  # the last line of the host's journal then


@dataclass(frozen=True)
class Operator:
    """Who deploys, and why: for the lock and the journal."""

    who: str
    message: str = ""
