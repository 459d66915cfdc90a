"""Turns the name of a host into everything that is needed to reach it; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from cartwheel.errors import UsageError
from cartwheel.hidden import Hidden
from cartwheel.ssh.address import Address, as_jump, parse_address
from cartwheel.ssh.arguments import Option, quoted
from cartwheel.ssh.found import DEFAULT_PORT, Asked, Family, Found
from cartwheel.ssh.options import SshOptions

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Ssh

DEFAULT_CONNECT_TIMEOUT_SECONDS = 10.0
DEFAULT_LEASE_SECONDS = 15.0


@dataclass(frozen=True)
class LabHost:
    """How to reach a disposable host.

    `python`, if it is not empty, runs the host side instead of `ssh.python`.
    """

    address: str
    port: int
    user: str
    identity: Path
    known_hosts: Path
    python: str


class Lookup(Protocol):
    """Looks up ssh_config (config.py)."""

    def lookup(self, asked: Asked) -> Found: ...


@dataclass(frozen=True)
class Target:
    """One host to connect to. `name` is the user's name for it, `host` its address.

    `key_name` is its name in known_hosts; `gateway` is the last hop before it, `proxy_command` a
    command for the shell. New keys are recorded in the first of `known_hosts`. `agent` is a socket,
    `none`, or empty for the default one.
    """

    name: str
    host: str
    port: int
    user: str
    identities: tuple[Path, ...] = ()
    identities_only: bool = False
    usual_identities: bool = True  # those of ~/.ssh if none is named
    agent: str = ""
    gateway: Target | None = None
    proxy_command: str | None = None
    key_name: str = ""
    known_hosts: tuple[Path, ...] = ()
    system_known_hosts: tuple[Path, ...] = ()
    revoked_keys: tuple[Path, ...] = ()
    host_keys: Literal["strict", "accept-new"] = "strict"
    python: str = "python3"
    password: Hidden | None = None
    passphrase: str | None = field(default=None, repr=False)
    sudo_password: Hidden | None = None
    connect_timeout_seconds: float = DEFAULT_CONNECT_TIMEOUT_SECONDS
    lease_seconds: float = DEFAULT_LEASE_SECONDS
    family: Family = "any"
    bind_address: str = ""

    @property
    def known_as(self) -> str:
        """The name in known_hosts files: `host`, or `[host]:port` (sshd(8))."""
        if self.key_name:
            return self.key_name
        return self.host if self.port == DEFAULT_PORT else f"[{self.host}]:{self.port}"


def resolve_target(
    name: str,
    *,
    at: Address | None = None,
    given: tuple[Option, ...] = (),
    ssh: Ssh,
    options: SshOptions,
    ssh_config: Lookup,
    lab: Mapping[str, LabHost],
    password: Hidden | None = None,
    sudo_password: Hidden | None = None,
    lease_seconds: float = DEFAULT_LEASE_SECONDS,
) -> Target:
    """Everything about the host called `name` (by -H or the settings), `at` this address if that
    differs from its name.

    User and port in the name win over fab's options, these over `given` (the inventory's values
    for this host, as keywords of ssh_config), these over the settings, these over ssh_config. A
    disposable host's own facts win over all of them except a user in the name. `password` and
    `sudo_password` are those of the settings. Raises UsageError `usage` for an invalid name or
    ProxyJump, and `ssh-config`.
    """
    at = at or parse_address(name)
    disposable = lab.get(at.host)
    if disposable is not None and at.port is None:
        return _lab_target(name, at, disposable, ssh, options, sudo_password, lease_seconds)
    found = ssh_config.lookup(Asked(at.host, (*_written(at), *given, *_settings(ssh, at))))
    way = _Way(ssh, options, ssh_config, ((at.host, found.port),))
    return way.target(
        name,
        found,
        python=ssh.python,
        password=options.password or password,
        sudo_password=options.sudo_password or sudo_password,
        lease_seconds=lease_seconds,
    )


def _written(at: Address) -> Iterator[Option]:
    if at.user:
        yield "user", quoted(at.user)
    if at.port:
        yield "port", str(at.port)


def _settings(ssh: Ssh, at: Address) -> Iterator[Option]:
    if ssh.user:
        yield "user", quoted(ssh.user)
    if ssh.port:
        yield "port", str(ssh.port)
    if not ssh.gateway:
        return
    hops = [] if ssh.gateway.lower() == "none" else ssh.gateway.split(",")
    if any(_is_same(parse_address(hop), at) for hop in hops):
        hops = []  # the gateway of all hosts may itself be one of them
    yield "proxyjump", ",".join(as_jump(parse_address(hop)) for hop in hops) or "none"
    if not hops:
        yield "proxycommand", "none"


def _is_same(hop: Address, at: Address) -> bool:
    return hop.host == at.host and hop.port in (None, at.port)


_MOST_HOPS, _SHOWN_HOPS = 16, 4


@dataclass(frozen=True)
class _Way:
    """How to reach a host, and then each hop before it. `passed` are the hosts behind it."""

    ssh: Ssh
    options: SshOptions
    config: Lookup
    passed: tuple[tuple[str, int], ...]

    # Any: fields of Target, each of its own type.
    def target(self, name: str, found: Found, **more: Any) -> Target:
        ssh, options = self.ssh, self.options
        own = (Path(ssh.identity).expanduser(),) if ssh.identity else ()
        files = (Path(ssh.known_hosts).expanduser(),) if ssh.known_hosts else ()
        return Target(
            name=name,
            host=found.host,
            port=found.port,
            user=found.user,
            identities=tuple(dict.fromkeys((*options.identities, *own, *found.identities))),
            identities_only=found.identities_only,
            usual_identities=not found.has_identities,
            agent=found.agent,
            gateway=self._hop(found.jump) if found.jump else None,
            proxy_command=None if found.jump else found.proxy_command,
            key_name=found.key_name,
            known_hosts=(*files, *found.known_hosts),
            system_known_hosts=found.system_known_hosts,
            revoked_keys=found.revoked_keys,
            host_keys=ssh.host_keys,
            passphrase=options.passphrase,
            connect_timeout_seconds=_timeout(options, ssh, found),
            family=found.family,
            bind_address=found.bind_address,
            **more,
        )

    def _hop(self, jumps: str) -> Target:
        """The last hop of a ProxyJump. It is reached through the hops before it; the first one
        uses its own ProxyJump (ssh(1), -J)."""
        before, _comma, jump = jumps.rpartition(",")
        at = parse_address(jump)
        given = (*_written(at), *((("proxyjump", before),) if before else ()))
        found = self.config.lookup(Asked(at.host, given))
        here = (at.host, found.port)
        if (
            here in self.passed or len(self.passed) > _MOST_HOPS
        ):  # `gate.%h` is a new name each time
            names = ", ".join(name for name, _port in (*self.passed, here)[:_SHOWN_HOPS])
            raise UsageError(
                "ssh-config", f"ssh_config for {self.passed[0][0]}: ProxyJump is a loop: {names}"
            )
        return replace(self, passed=(*self.passed, here)).target(jump.strip(), found)


def _lab_target(
    name: str,
    at: Address,
    host: LabHost,
    ssh: Ssh,
    options: SshOptions,
    sudo_password: Hidden | None,
    lease_seconds: float,
) -> Target:
    return Target(
        name=name,
        host=host.address,
        port=host.port,
        user=at.user or host.user,
        identities=(*options.identities, host.identity),
        identities_only=True,
        known_hosts=(host.known_hosts,),
        python=host.python or ssh.python,
        password=options.password,
        passphrase=options.passphrase,
        sudo_password=options.sudo_password or sudo_password,
        connect_timeout_seconds=options.connect_timeout_seconds or ssh.connect_timeout_seconds,
        lease_seconds=lease_seconds,
    )


def _timeout(options: SshOptions, ssh: Ssh, found: Found) -> float:
    if options.connect_timeout_seconds:
        return float(options.connect_timeout_seconds)
    configured = found.connect_timeout_seconds
    if "connect_timeout_seconds" in ssh.model_fields_set or configured is None:
        return float(ssh.connect_timeout_seconds)
    return configured
