"""Everything that a run is about: the settings, the hosts, who asks, who listens."""

from __future__ import annotations

import getpass
import platform
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from cartwheel import places
from cartwheel.errors import CartwheelError
from cartwheel.events import Emit
from cartwheel.fleet.deploy import Terms
from cartwheel.fleet.sessions import Fleet, await_all
from cartwheel.plan.deploy import finish_seconds
from cartwheel.plan.model import Operator
from cartwheel.settings import load, resolve_secret
from cartwheel.settings.model import Secret, Settings
from cartwheel.ssh.options import SshOptions
from cartwheel.ssh.target import Target

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
    """A session with every host, opened side by side.

    The host side of a `changing` run is a transient unit: killed, it takes its children
    with it, and the installed recover settles what it left. Raises the first failure;
    its detail names all of them.
    """
    from cartwheel.ssh.connection import Gateways
    from cartwheel.ssh.session import Session, open_session
    from cartwheel.ssh.startup import UnitSpec

    where, gateways, slug = targets(scene), Gateways(), scene.settings.slug

    def unit() -> UnitSpec | None:
        if not changing:
            return None
        return UnitSpec(
            name=f"cartwheel-session-{slug}-{secrets.token_hex(4)}",
            stop_post=(f"-/usr/local/lib/cartwheel/{slug}/recover", "--settle"),
            description=f"Cartwheel at work on {slug}",
        )

    with ThreadPoolExecutor(_MAX_CONNECTING) as pool:
        futures = {
            name: pool.submit(open_session, target, gateways, unit=unit())
            for name, target in where.items()
        }
        await_all(futures.values())
    sessions: dict[str, Session] = {}
    problems: list[CartwheelError] = []
    for name, future in futures.items():
        try:
            sessions[name] = future.result()
        except CartwheelError as error:
            problems.append(error)
    if problems:
        for session in sessions.values():
            session.close()
        raise _all_of(problems)
    return Fleet(sessions, scene.emit)


def _all_of(problems: list[CartwheelError]) -> CartwheelError:
    first = problems[0]
    if len(problems) > 1:
        first.detail = "\n".join([first.detail, *(str(error) for error in problems)]).strip()
    return first


def raise_failures(results: Mapping[str, object]) -> None:
    """Raise if any host failed, with every host's reason in the detail."""
    problems = [error for error in results.values() if isinstance(error, CartwheelError)]
    if problems:
        raise _all_of(problems)


def for_hosts(scene: Scene, hosts: tuple[str, ...]) -> Scene:
    return replace(scene, hosts=hosts)
