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
    from cartwheel.host.wire.marks import Stopped
    from cartwheel.host.wire.switching import Switch
    from cartwheel.host.wire.tls import InstallAcme, InstallTls, RemoveTls
    from cartwheel.host.wire.users import PlaceUsers
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
class Restarting:
    """How a host on which nothing changes checks what it starts again because it was `down`."""

    down: tuple[str, ...]
    probe: Probe
    seconds: float


@dataclass(frozen=True)
class Holder:
    """A host that has, or is to have, what only one host has: its name in this run, and the name
    that all hosts write down."""

    host: str
    written: str


@dataclass(frozen=True)
class Move:
    """What another host gets once all have confirmed: what `gives` has (None: nobody has it),
    `takes` takes. `stop_seconds` and `ready_seconds` limit its last job and its start; `stopped`:
    who has stopped it. `is_known`: as in `Held`."""

    name: str
    gives: Holder | None
    takes: Holder
    stop_seconds: float
    ready_seconds: float
    probe: Probe
    stopped: Stopped | None = None
    is_known: bool = True


@dataclass(frozen=True)
class Tls:
    """HTTPS on a host after the run, in words. `request`: what changes it; None: nothing changes.
    `asks_for`: the names for which a certificate authority is asked. It belongs to the host: no
    rollback touches it."""

    what: str
    request: InstallTls | InstallAcme | RemoveTls | None = None
    asks_for: tuple[str, ...] = ()

    @property
    def asks_authority(self) -> bool:
        """Whether a certificate authority may be asked: by one host after the other."""
        from cartwheel.host.wire.tls import InstallAcme

        return isinstance(self.request, InstallAcme)


@dataclass(frozen=True)
class Users:
    """The users of the site's paths after the run, in words. `missing` comes before the switch, so
    that the site never names a file that is not there; `request` changes the rest once no host goes
    back any more. They belong to the host: no rollback touches them."""

    what: str
    missing: PlaceUsers | None = None
    request: PlaceUsers | None = None


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
    switch: Switch | None = None  # how the traffic moves, and what makes the host roll back
    switch_seconds: float = 0.0  # its time limit
    server_names: tuple[str, ...] = ()  # of the site
    hooks: tuple[Hook, ...] = ()  # the same on all hosts of a run
    serves: tuple[str, ...] = ()  # what the web server serves itself, in words
    notes: tuple[str, ...] = ()
    setback: Setback | None = None  # what happened to this release here before
    commit: str = ""  # of the source that the release is deployed from
    refusals: tuple[Refusal, ...] = ()
    digest_key: str = field(default="", repr=False)  # the fleet's key, kept on its hosts
    premise: str = ""  # the host's digest of the facts that this plan was made from
    seq: int = 0  # the last line of the host's journal at that time
    restarting: Restarting | None = None
    holders: Mapping[str, str] | None = None  # what the host writes down if nothing is switched
    moves: tuple[Move, ...] = ()  # the same on all hosts of a run
    tls: Tls | None = None  # None: the host has no HTTPS, or the run is not about it
    users: Users | None = None  # None: they stay as they are

    @property
    def unchanged(self) -> bool:
        """Whether the release is live on the host already, as it should be."""
        return self.switch is None and not self.refusals

    @property
    def idle(self) -> bool:
        """Whether nothing happens: nothing is down, HTTPS and users stay as they are, and nothing
        moves to another host either."""
        down = self.restarting.down if self.restarting else ()
        return self.unchanged and not down and not self.moves and not self.changes_host

    @property
    def changes_host(self) -> bool:
        """Whether what belongs to the host changes, not to a release."""
        return self.changes_tls or self.users is not None

    @property
    def changes_tls(self) -> bool:
        return self.tls is not None and self.tls.request is not None

    @property
    def switching(self) -> Switch:
        """The switch. Raises ValueError if the plan has none."""
        if self.switch is None:
            raise ValueError(f"{self.release}: nothing is switched")
        return self.switch

    @property
    def has_web(self) -> bool:
        """Whether visitors come to this host, as far as the plan says."""
        assigned = self.switch.assigned if self.switch else None
        return assigned is None or assigned.has_web

    @property
    def fresh(self) -> bool:
        """Whether this plan makes the release."""
        return self.making is not None
