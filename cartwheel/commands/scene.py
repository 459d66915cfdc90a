"""Everything that a run needs: the settings, the hosts, the operator, the listener."""

from __future__ import annotations

import getpass
import platform
import random
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cartwheel import places
from cartwheel.background import side_by_side
from cartwheel.commands.typed import AS_THEY_ARE, Typed
from cartwheel.errors import CartwheelError, ConnectError, HostError, UsageError
from cartwheel.events import Emit, timed
from cartwheel.fleet.sessions import PARALLEL, Fleet, abandonable
from cartwheel.fleet.terms import Terms
from cartwheel.hidden import Hidden
from cartwheel.host.wire.instance import WEB
from cartwheel.host.wire.locking import Mark
from cartwheel.host.wire.request import About
from cartwheel.inventory.choose import Narrowing, choose
from cartwheel.inventory.gather import gather
from cartwheel.plan import processes
from cartwheel.plan.host_plan import Operator
from cartwheel.plan.refusals import held_refusal
from cartwheel.plan.rollout import ALL_OR_NOTHING, BATCH_BEHIND_BALANCER, Rollout, RolloutOptions
from cartwheel.plan.switching import finish_seconds
from cartwheel.settings.hosts import Host
from cartwheel.settings.loading import load_placed
from cartwheel.settings.named import NamedFile
from cartwheel.settings.shown import secrets_of
from cartwheel.settings.toml_tables import Secret, Settings, Ssh
from cartwheel.settings.variables import Taken, resolve_secret, take_from_environment
from cartwheel.ssh.address import Address, parse_address
from cartwheel.ssh.config import Configuration
from cartwheel.ssh.options import SshOptions
from cartwheel.ssh.target import Target

if TYPE_CHECKING:
    from cartwheel.host.wire.assigned import Assigned
    from cartwheel.ssh.connection import Gateways
    from cartwheel.ssh.session import Session
    from cartwheel.ssh.startup import UnitSpec
    from cartwheel.ssh.uplink import Uplink

_EVERY = Narrowing()
_AS_SET: RolloutOptions = {}
# The pause before the next attempt to connect is random, up to this, which doubles each time.
_RETRY_SECONDS = 0.5


@dataclass(frozen=True)
class Scene:
    """One run, for the `chosen` hosts of all that are `known`."""

    project: Path
    settings: Settings
    chosen: tuple[Host, ...]
    known: tuple[Host, ...]
    ssh_options: SshOptions
    operator: Operator
    emit: Emit
    lock_wait_seconds: float = 0.0
    rollout: Rollout = ALL_OR_NOTHING
    parallel: int = PARALLEL
    fleet: tuple[Host, ...] = ()  # all that run the app, also those that are not chosen
    move_exclusive: bool = False  # the hosts that this run does not reach have nothing exclusive
    taken: Taken = field(default_factory=dict)  # variables of this process that secrets come from
    ssh_config: Configuration = field(default_factory=Configuration, compare=False)
    typed: Typed = field(default_factory=Typed, compare=False)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the chosen hosts, as the user gave them."""
        return tuple(host.name for host in self.chosen)

    def roles_of(self, name: str) -> tuple[str, ...]:
        """The roles of a chosen host."""
        return next((host.roles for host in self.chosen if host.name == name), ())

    def runs_app(self, host: Host) -> bool:
        """Whether a deploy is about the host, by its roles."""
        return bool(set(self.settings.host_roles) & set(host.roles))

    def has_web(self, host: Host) -> bool:
        """Whether the host runs web, by its roles."""
        return bool(set(self.settings.roles_of(WEB)) & set(host.roles))

    def assigned(self, name: str) -> Assigned:
        """What a chosen host may run, if it had one processor."""
        return processes.assigned(self.settings, self.roles_of(name), cpus=1)

    @property
    def private_files(self) -> tuple[NamedFile, ...]:
        """Key files that the command line or an inventory names."""
        identities = {host.identity: f"the inventory's {host.name}" for host in self.known}
        found = [
            NamedFile(said, self.project / Path(name).expanduser())
            for name, said in identities.items()
            if name
        ]
        return (*found, *(NamedFile("-i", path.absolute()) for path in self.ssh_options.identities))

    @property
    def state(self) -> Path:
        """The folder for builds."""
        return places.cache_dir() / "build"

    @property
    def about(self) -> About:
        """The application and the operator, for every session of the run."""
        settings, operator = self.settings, self.operator
        return About(settings.slug, settings.host.base, operator.who, operator.message)

    @property
    def terms(self) -> Terms:
        return Terms(self.lock_wait_seconds, finish_seconds(self.settings), rollout=self.rollout)

    def secret(self, secret: Secret | None, name: str) -> Hidden | None:
        if secret is None:
            return None
        return resolve_secret(secret, self.project, name, self.taken)


def make_scene(
    project: Path,
    *,
    app: str | None,
    env: str | None,
    hosts: tuple[str, ...],
    ssh_options: SshOptions,
    emit: Emit,
    message: str = "",
    lock_wait_seconds: float = 0.0,
    narrowing: Narrowing = _EVERY,
    needs_hosts: bool = True,
    any_role: bool = False,
    more_roles: tuple[str, ...] = (),
    rollout: RolloutOptions = _AS_SET,
    parallel: int | None = None,
    program: str = "fab",
    names: Mapping[str, str] = AS_THEY_ARE,
) -> Scene:
    """Load the settings and, if it `needs_hosts`, the inventory. Does not connect.

    `hosts` are those of the command line; without any, all hosts that run the app or have one of
    `more_roles`, or with `any_role` all hosts. `rollout` and `parallel` are options that override
    the settings. Raises UsageError.
    """
    placed = load_placed(project, app, env)
    settings = placed.settings
    taken = take_from_environment(secrets_of(settings).values())
    known: tuple[Host, ...] = ()
    if needs_hosts:
        known = gather(settings, project, placed.place, ssh_options.config_path)
    roles = () if any_role else (*settings.host_roles, *more_roles)
    chosen = choose(known, hosts, narrowing, roles)
    running = tuple(host for host in known if set(host.roles) & set(settings.host_roles))
    return Scene(
        project=project,
        settings=settings,
        chosen=chosen,
        known=known,
        fleet=running or chosen,
        ssh_options=ssh_options,
        operator=Operator(f"{getpass.getuser()}@{platform.node()}", message),
        emit=emit,
        lock_wait_seconds=lock_wait_seconds,
        rollout=replace(_rollout(settings), **rollout),
        parallel=parallel or settings.fleet.parallel,
        taken=taken,
        ssh_config=Configuration(ssh_options.config_path),
        typed=Typed(program, app, env, hosts, str(narrowing), names),
    )


def _rollout(settings: Settings) -> Rollout:
    fleet = settings.fleet
    behind = settings.balancer.kind != "none" and "batch" not in fleet.model_fields_set
    batch = BATCH_BEHIND_BALANCER if behind else fleet.batch
    return Rollout(fleet.canary, batch, fleet.pause_seconds, fleet.max_failures)


def targets(scene: Scene) -> dict[str, Target]:
    """The address and login of each host. Raises UsageError."""
    password = scene.secret(scene.settings.ssh.password, "ssh.password")
    sudo_password = scene.secret(scene.settings.ssh.sudo_password, "ssh.sudo_password")
    return _resolved(
        scene,
        scene.chosen,
        password=password,
        sudo_password=sudo_password,
        lease_seconds=scene.settings.deploy.lease_seconds,
    )


def located(scene: Scene, hosts: Iterable[Host]) -> dict[str, str]:
    """The network addresses of these hosts, as SSH would find them. Raises UsageError."""
    return {name: target.host for name, target in _resolved(scene, hosts).items()}


def _resolved(scene: Scene, hosts: Iterable[Host], **more: Any) -> dict[str, Target]:
    """The target of each host, resolved in parallel. `more` are arguments for `resolve_target`,
    which types them."""
    from cartwheel.inventory.lab import lab_hosts
    from cartwheel.ssh.target import resolve_target

    lab = lab_hosts(scene.project)

    def resolve(host: Host) -> Target:
        if host.refused is not None:
            raise UsageError("inventory", f"{host.name} ({host.source}): {host.refused}")
        return resolve_target(
            host.name,
            at=_address(host),
            given=host.ssh_options,
            ssh=_ssh(scene.settings.ssh, host),
            options=scene.ssh_options,
            ssh_config=scene.ssh_config,
            lab=lab,
            **more,
        )

    found = side_by_side(resolve, hosts, scene.parallel)
    return {host.name: target for host, target in found.items()}


def _address(host: Host) -> Address:
    """The host's address; its inventory wins over user and port in the address."""
    at = parse_address(host.address or host.name)
    return replace(at, user=host.user or at.user, port=host.port or at.port)


def _ssh(shared: Ssh, host: Host) -> Ssh:
    """The settings of [ssh], overridden by the host's own."""
    own = {"identity": host.identity, "gateway": host.gateway, "python": host.python}
    return shared.model_copy(update={key: value for key, value in own.items() if value})


def connect(scene: Scene, *, changing: bool, max_failures: int = 0) -> Fleet:
    """A session with every host, except for at most `max_failures`. Raises the hosts' failures."""
    sessions, problems = reach(scene, changing=changing)
    fleet = Fleet(sessions, scene.emit, max_failures=max_failures, parallel=scene.parallel)
    fleet.drop(problems)
    if not fleet.can_go_on:
        for session in sessions.values():
            session.close()
        _raise(list(problems.values()))
    return fleet


def reach(
    scene: Scene, *, changing: bool, about_host: bool = False
) -> tuple[dict[str, Session], dict[str, CartwheelError]]:
    """Sessions with the hosts that can be reached, opened in parallel; the failures of the others.

    The host side of a `changing` run is a transient unit: if it is killed, its children end too,
    and the installed `recover` cleans up. `about_host`: it changes what belongs to the host, so to
    a monitor the application is not being changed.
    """
    futures = abandonable(
        opener(scene, changing=changing, about_host=about_host),
        scene.hosts,
        scene.parallel,
        undo=lambda session: session.close(seconds=0),
    )
    sessions: dict[str, Session] = {}
    problems: dict[str, CartwheelError] = {}
    for name, future in futures.items():
        try:
            sessions[name] = future.result()
        except CartwheelError as error:
            problems[name] = error
    return sessions, problems


def opener(scene: Scene, *, changing: bool, about_host: bool = False) -> Callable[[str], Session]:
    """Opens a session with a host of the scene, as often as it is called. Secrets and addresses are
    read once, now. Raises UsageError, and then ConnectError."""
    from cartwheel.ssh.connection import Gateways
    from cartwheel.ssh.uplink import Uplink

    where, gateways, bounds = targets(scene), Gateways(), scene.settings.fleet
    uplink = Uplink(bounds.uploads_at_once, bounds.upload_rate)

    def open_one(name: str) -> Session:
        unit = unit_of(scene, about_host=about_host) if changing else None
        return _open(scene, where[name], gateways, uplink, unit)

    return open_one


def _open(
    scene: Scene, target: Target, gateways: Gateways, uplink: Uplink, unit: UnitSpec | None
) -> Session:
    from cartwheel.ssh.session import open_session

    def connect() -> Session:
        return _with_patience(
            lambda: open_session(target, gateways, unit=unit, uplink=uplink, about=scene.about),
            scene.settings.ssh.connect_attempts,
            target.connect_timeout_seconds,
        )

    return timed(scene.emit, "connect", connect, target.name)


def _with_patience(connect: Callable[[], Session], attempts: int, seconds: float) -> Session:
    """Try again, within `seconds`, a connection that was refused for the moment, for example by a
    busy sshd. Nothing has been begun on the host then; later failures are never tried again."""
    end = time.monotonic() + seconds
    for attempt in range(1, attempts + 1):
        try:
            return connect()
        except ConnectError as error:
            most = _RETRY_SECONDS * 2**attempt
            pause = random.uniform(0, most)  # noqa: S311 - a pause, no secret
            if not error.is_passing or attempt == attempts or time.monotonic() + pause > end:
                raise
            time.sleep(pause)
    raise AssertionError("there is at least one attempt")


def unit_of(scene: Scene, *, about_host: bool = False) -> UnitSpec:
    """The transient unit of a run. Of one that changes the application, the host knows the name
    (watch/units.py)."""
    from cartwheel.ssh.startup import UnitSpec

    slug = scene.settings.slug
    if about_host:
        name = f"cartwheel-session-{slug}_host-{secrets.token_hex(4)}"
        return UnitSpec(name, description=f"Cartwheel changes this host for {slug}")
    return UnitSpec(
        name=f"cartwheel-session-{slug}-{secrets.token_hex(4)}",
        stop_post=(f"-/usr/local/lib/cartwheel/{slug}/recover", "--settle"),
        description=f"Cartwheel changes {slug}",
    )


def _raise(problems: list[CartwheelError]) -> NoReturn:
    if len(problems) == 1:
        raise problems[0]
    raise ExceptionGroup("several hosts failed", problems)


def raise_failures(results: Mapping[str, object]) -> None:
    """Raise the hosts' failures: one CartwheelError, or a group of them."""
    problems = [error for error in results.values() if isinstance(error, CartwheelError)]
    if problems:
        _raise(problems)


def raise_held(freezes: Mapping[str, Mark | None]) -> None:
    """Refuse for the whole fleet if a host is frozen, with the reason of every frozen host."""
    raise_failures(
        {
            host: HostError(
                "held",
                held_refusal(mark).message,
                host=host,
                hint=f"Ask them first; `fab lock.release -H {host}` lifts the freeze.",
            )
            for host, mark in freezes.items()
            if mark
        }
    )


def refuse_unplaced(scene: Scene) -> None:
    """Raises UsageError("no-hosts") if the settings have a process that no host runs."""
    known = [host for host in scene.known if scene.runs_app(host)]
    others = [host for host in scene.chosen if host not in scene.known]
    roles = [host.roles for host in (*known, *others)]
    lacking = processes.lacking_hosts(scene.settings, roles)
    for name, wanted in lacking.items():
        raise UsageError(
            "no-hosts",
            f"no host runs {name}: none has the role {wanted}",
            hint=f"Give a host the role, or change {name}.roles.",
        )


def for_hosts(scene: Scene, hosts: tuple[str, ...]) -> Scene:
    return replace(scene, chosen=tuple(host for host in scene.chosen if host.name in hosts))


def without_hooks(scene: Scene) -> Scene:
    """The same run without hooks."""
    return replace(scene, settings=scene.settings.model_copy(update={"hooks": {}}))
