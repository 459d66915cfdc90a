"""Everything that a run is about: the settings, the hosts, who asks, who listens."""

from __future__ import annotations

import getpass
import platform
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cartwheel import places
from cartwheel.errors import CartwheelError, HostError
from cartwheel.events import Emit, Event
from cartwheel.fleet.deploy import Terms
from cartwheel.fleet.sessions import Fleet, abandonable
from cartwheel.plan.deploy import finish_seconds, held_refusal
from cartwheel.plan.model import Operator
from cartwheel.settings import load, resolve_secret
from cartwheel.settings.model import Secret, Settings
from cartwheel.ssh.options import SshOptions
from cartwheel.ssh.target import Target

if TYPE_CHECKING:
    from cartwheel.ssh.connection import Gateways
    from cartwheel.ssh.session import Session
    from cartwheel.ssh.startup import UnitSpec
    from cartwheel.ssh.uplink import Uplink

_MAX_CONNECTING = 32


@dataclass(frozen=True)
class Scene:
    """One run. `hosts` are names as the user gave them; `state` is where builds are kept."""

    project: Path
    settings: Settings
    hosts: tuple[str, ...]
    ssh_options: SshOptions
    operator: Operator
    emit: Emit
    lock_wait_seconds: float = 0.0

    @property
    def state(self) -> Path:
        return places.cache_dir() / "build"

    @property
    def base_args(self) -> dict[str, object]:
        """What every operation of the host side wants to know."""
        return {
            "app": self.settings.slug,
            "base": self.settings.host.base,
            "who": self.operator.who,
            "message": self.operator.message,
        }

    @property
    def terms(self) -> Terms:
        return Terms(
            self.settings.slug,
            self.settings.host.base,
            self.operator,
            self.lock_wait_seconds,
            finish_seconds(self.settings),
        )

    def secret(self, secret: Secret | None, name: str) -> str | None:
        return resolve_secret(secret, self.project, name) if secret is not None else None


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
) -> Scene:
    """Load the settings; `hosts` from the command line win over theirs. Connects nowhere."""
    settings = load(project, app, env)
    return Scene(
        project=project,
        settings=settings,
        hosts=hosts or settings.hosts,
        ssh_options=ssh_options,
        operator=Operator(f"{getpass.getuser()}@{platform.node()}", message),
        emit=emit,
        lock_wait_seconds=lock_wait_seconds,
    )


def targets(scene: Scene) -> dict[str, Target]:
    """Where each host is and how to log in. Raises UsageError."""
    from cartwheel.lab import inventory
    from cartwheel.ssh.config import load_ssh_config
    from cartwheel.ssh.target import resolve_target

    ssh = scene.settings.ssh
    config = load_ssh_config(scene.ssh_options.config_path)
    lab = inventory(scene.project)
    password = scene.secret(ssh.password, "ssh.password")
    sudo_password = scene.secret(ssh.sudo_password, "ssh.sudo_password")
    return {
        name: resolve_target(
            name,
            ssh=ssh,
            options=scene.ssh_options,
            ssh_config=config,
            lab=lab,
            password=password,
            sudo_password=sudo_password,
            lease_seconds=scene.settings.deploy.lease_seconds,
        )
        for name in scene.hosts
    }


def connect(scene: Scene, *, changing: bool) -> Fleet:
    """A session with every host. Raises the hosts' failures."""
    sessions, problems = reach(scene, changing=changing)
    if problems:
        for session in sessions.values():
            session.close()
        _raise(list(problems.values()))
    return Fleet(sessions, scene.emit)


def reach(scene: Scene, *, changing: bool) -> tuple[dict[str, Session], dict[str, CartwheelError]]:
    """Sessions with the hosts that can be reached, opened side by side; why not, of the others.

    The host side of a `changing` run is a transient unit: killed, it takes its children
    with it, and the installed recover settles what it left.
    """
    from cartwheel.ssh.connection import Gateways
    from cartwheel.ssh.uplink import Uplink

    where, gateways, bounds = targets(scene), Gateways(), scene.settings.fleet
    uplink = Uplink(bounds.uploads_at_once, bounds.upload_rate)
    futures = abandonable(
        lambda name: _open(scene, where[name], gateways, uplink, changing=changing),
        where,
        _MAX_CONNECTING,
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


def _open(
    scene: Scene, target: Target, gateways: Gateways, uplink: Uplink, *, changing: bool
) -> Session:
    from cartwheel.ssh.session import open_session

    started = time.monotonic()
    scene.emit(Event("connect", "start", host=target.name))
    try:
        unit = _unit(scene) if changing else None
        session = open_session(target, gateways, unit=unit, uplink=uplink)
    except CartwheelError as error:
        took = time.monotonic() - started
        scene.emit(Event("connect", "failed", error.message, target.name, took))
        raise
    scene.emit(Event("connect", "done", "", target.name, time.monotonic() - started))
    return session


def _unit(scene: Scene) -> UnitSpec:
    from cartwheel.ssh.startup import UnitSpec

    slug = scene.settings.slug
    return UnitSpec(
        name=f"cartwheel-session-{slug}-{secrets.token_hex(4)}",
        stop_post=(f"-/usr/local/lib/cartwheel/{slug}/recover", "--settle"),
        description=f"Cartwheel at work on {slug}",
    )


def _raise(problems: list[CartwheelError]) -> NoReturn:
    if len(problems) == 1:
        raise problems[0]
    raise ExceptionGroup("several hosts failed", problems)


def raise_failures(results: Mapping[str, object]) -> None:
    """Raise what the hosts failed with: one CartwheelError, or a group of them."""
    problems = [error for error in results.values() if isinstance(error, CartwheelError)]
    if problems:
        _raise(problems)


def raise_held(freezes: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Refuse for the whole fleet where a host is frozen, with every such host's reason."""
    raise_failures(
        {
            host: HostError(
                "held",
                held_refusal(mark).message,
                host=host,
                hint=f"`fab lock.release -H {host}` lifts it; ask whoever holds it first.",
            )
            for host, mark in freezes.items()
            if mark
        }
    )


def for_hosts(scene: Scene, hosts: tuple[str, ...]) -> Scene:
    return replace(scene, hosts=hosts)
