"""The plan of a deploy on one host: what it sends, makes, starts and runs. In the end
`cartwheel.plan.steps` makes the requests to the host from these fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cartwheel.plan.hooks import Hook
from cartwheel.settings.phases import Kind

if TYPE_CHECKING:
    from cartwheel.host.wire.health import Probe
    from cartwheel.host.wire.journal import Setback
    from cartwheel.host.wire.switching import Limits
    from cartwheel.plan.making import Making


@dataclass(frozen=True)
class Operator:
    """Who deploys, and why: for the lock and the journal."""

    who: str
    message: str = ""


@dataclass(frozen=True)
class Application:
    """The application on its hosts: `name` is application and environment together."""

    name: str
    user: str


@dataclass(frozen=True)
class Refusal:
    """Why a host cannot take the release; `slug` is a key of the error catalogue."""

    slug: str
    message: str


@dataclass(frozen=True)
class Migration:
    """The command that one host of the fleet runs before any host switches."""

    command: str
    timeout_seconds: float


@dataclass(frozen=True)
class Switch:
    """How the traffic moves to the release, and what makes the host roll back."""

    # The web server's files that change: path -> text, None: remove it.
    site: Mapping[str, str | None]
    listen: int
    static_dir: str | None
    probe: Probe
    watch_seconds: float
    limits: Limits
    confirm_seconds: float
    keep_releases: int
    deadline_seconds: float
    # The settings that shape what the host runs, by name, each as a keyed digest: for the next
    # plan to compare. None: the run does not bring them to the host.
    settings: Mapping[str, str] | None = None


@dataclass(frozen=True)
class HostPlan:
    """What a run does on one host: nothing if it is refused, or if it would change nothing (then
    the host only records that in its journal)."""

    app: Application
    operator: Operator
    kind: Kind
    release: str
    version: str
    current: str | None
    # path -> text; None: Cartwheel's files on the host stay.
    host_files: Mapping[str, str] | None = None
    making: Making | None = None  # None: the host has the release
    migration: Migration | None = None  # once in the fleet, on the first host that has it
    switch: Switch | None = None
    hooks: tuple[Hook, ...] = ()  # the same on all hosts of a run
    notes: tuple[str, ...] = ()
    setback: Setback | None = None  # what happened to this release here before
    commit: str = ""  # of the source that the release is deployed from
    refusals: tuple[Refusal, ...] = ()
    digest_key: str = field(default="", repr=False)  # the fleet's key, kept on its hosts
    premise: str = ""  # the host's digest of the facts that this plan was made from
    seq: int = 0  # the last line of the host's journal at that time

    @property
    def unchanged(self) -> bool:
        """Whether the release is live on the host already, as it should be."""
        return self.switch is None and not self.refusals

    @property
    def switching(self) -> Switch:
        """The switch. Raises ValueError if the plan has none."""
        if self.switch is None:
            raise ValueError(f"{self.release}: nothing is switched")
        return self.switch

    @property
    def fresh(self) -> bool:
        """Whether this plan makes the release."""
        return self.making is not None
