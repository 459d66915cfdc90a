"""From the name of a host to everything that is needed to reach it; pure."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from cartwheel.errors import UsageError
from cartwheel.hidden import Hidden
from cartwheel.ssh.options import SshOptions

if TYPE_CHECKING:
    import paramiko

    from cartwheel.settings.model import Ssh

DEFAULT_PORT = 22
LAST_PORT = 65535
DEFAULT_CONNECT_TIMEOUT_SECONDS = 10.0
DEFAULT_LEASE_SECONDS = 15.0

_ADDRESS = re.compile(
    r"""(?:(?P<user>[^@\s]+)@)?
        (?: \[(?P<bracketed>[^\]\s]+)\](?::(?P<bracketed_port>\d+))?
          | (?P<bare_v6>[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.%\w]*)
          | (?P<host>[^:@\[\]\s]+)(?::(?P<port>\d+))? )""",
    re.VERBOSE,
)


class LabHost(Protocol):
    """A disposable host, as `cartwheel.lab` lists them."""

    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def user(self) -> str: ...
    @property
    def identity(self) -> Path: ...
    @property
    def known_hosts(self) -> Path: ...
    @property
    def interpreter(self) -> str: ...


@dataclass(frozen=True)
class Target:
    """One host to connect to. `name` is what the user calls it, `host` where it is.

    `key_name` is the name that known_hosts has for it; `gateway` is the last hop
    before it. `known_hosts` are files besides the user's and the system's; the
    first one is where new keys are recorded.
    """

    name: str
    host: str
    port: int
    user: str
    identities: tuple[Path, ...] = ()
    identities_only: bool = False
    gateway: Target | None = None
    proxy_command: str | None = None
    key_name: str = ""
    known_hosts: tuple[Path, ...] = ()
    host_keys: Literal["strict", "accept-new"] = "strict"
    python: str = "python3"
    password: Hidden | None = None
    passphrase: str | None = field(default=None, repr=False)
    sudo_password: Hidden | None = None
    connect_timeout_seconds: float = DEFAULT_CONNECT_TIMEOUT_SECONDS
    lease_seconds: float = DEFAULT_LEASE_SECONDS

    @property
    def known_as(self) -> str:
        """The name in known_hosts files: `host`, or `[host]:port` (sshd(8))."""
        if self.key_name:
            return self.key_name
        return self.host if self.port == DEFAULT_PORT else f"[{self.host}]:{self.port}"


@dataclass(frozen=True)
class Address:
    """What a user writes: `user@host:port`, `[v6]:port`, or a name alone."""

    host: str
    user: str | None = None
    port: int | None = None


def parse_address(text: str) -> Address:
    """Raises UsageError `usage` for what is no address."""
    found = _ADDRESS.fullmatch(text.strip())
    port = found and (found["port"] or found["bracketed_port"])
    if not found or (port and not 0 < int(port) <= LAST_PORT):
        raise UsageError(
            "usage", f"'{text}' is not a host", hint="Write a name, or user@host:port."
        )
    host = found["host"] or found["bracketed"] or found["bare_v6"]
    return Address(host, found["user"], int(port) if port else None)


def resolve_target(
    name: str,
    *,
    at: Address | None = None,
    ssh: Ssh,
    options: SshOptions,
    ssh_config: paramiko.SSHConfig,
    lab: Mapping[str, LabHost],
    password: Hidden | None = None,
    sudo_password: Hidden | None = None,
    lease_seconds: float = DEFAULT_LEASE_SECONDS,
) -> Target:
    """Everything about the host called `name` (what -H or the settings say), which is `at`
    this address if not where its name says.

    What is written at the name wins over fab's flags, these over the settings,
    these over ssh_config. A disposable host's own facts win over all but a user
    written at the name. `password` and `sudo_password` are those of the settings.
    Raises UsageError `usage` for a name or a ProxyJump that cannot be read.
    """
    at = at or parse_address(name)
    disposable = lab.get(at.host)
    if disposable is not None and at.port is None:
        return _lab_target(name, at, disposable, ssh, options, sudo_password, lease_seconds)
    found = ssh_config.lookup(at.host)
    return Target(
        name=name,
        host=found.get("hostname", at.host),
        port=at.port or ssh.port or int(found.get("port", DEFAULT_PORT)),
        user=at.user or ssh.user or found.get("user") or getpass.getuser(),
        identities=_identities(options, ssh, found),
        identities_only=found.get("identitiesonly", "no").lower() == "yes",
        gateway=_gateway(at, ssh, options, ssh_config, found),
        proxy_command=None if ssh.gateway else _proxy_command(found),
        key_name=found.get("hostkeyalias", ""),
        known_hosts=_known_hosts(ssh, found),
        host_keys=ssh.host_keys,
        python=ssh.python,
        password=options.password or password,
        passphrase=options.passphrase,
        sudo_password=options.sudo_password or sudo_password,
        connect_timeout_seconds=_timeout(options, ssh, found),
        lease_seconds=lease_seconds,
    )


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
        python=host.interpreter or ssh.python,
        password=options.password,
        passphrase=options.passphrase,
        sudo_password=options.sudo_password or sudo_password,
        connect_timeout_seconds=options.connect_timeout_seconds or ssh.connect_timeout_seconds,
        lease_seconds=lease_seconds,
    )


def _gateway(
    target: Address,
    ssh: Ssh,
    options: SshOptions,
    ssh_config: paramiko.SSHConfig,
    found: Mapping[str, str],
) -> Target | None:
    jumps = ssh.gateway or found.get("proxyjump") or "none"
    if jumps.lower() == "none":
        return None
    gateway: Target | None = None
    for jump in jumps.split(","):
        at = parse_address(jump)
        if at.host == target.host and at.port in (None, target.port):
            return None  # a wildcard in ssh_config covers the gateway itself
        hop = ssh_config.lookup(at.host)
        gateway = Target(
            name=jump.strip(),
            host=hop.get("hostname", at.host),
            port=at.port or int(hop.get("port", DEFAULT_PORT)),
            user=at.user or hop.get("user") or getpass.getuser(),
            identities=_identities(options, ssh, hop),
            identities_only=hop.get("identitiesonly", "no").lower() == "yes",
            gateway=gateway,
            proxy_command=None if gateway else _proxy_command(hop),
            key_name=hop.get("hostkeyalias", ""),
            known_hosts=_known_hosts(ssh, hop),
            host_keys=ssh.host_keys,
            passphrase=options.passphrase,
            connect_timeout_seconds=_timeout(options, ssh, hop),
        )
    return gateway


def _identities(
    options: SshOptions, ssh: Ssh, found: Mapping[str, str | list[str]]
) -> tuple[Path, ...]:
    configured = found.get("identityfile", [])
    names = [configured] if isinstance(configured, str) else list(configured)
    own = [ssh.identity] if ssh.identity else []
    paths = [*options.identities, *(Path(name).expanduser() for name in (*own, *names))]
    return tuple(dict.fromkeys(paths))


def _known_hosts(ssh: Ssh, found: Mapping[str, str]) -> tuple[Path, ...]:
    own = [ssh.known_hosts] if ssh.known_hosts else []
    files = [
        name
        for key in ("userknownhostsfile", "globalknownhostsfile")
        for name in found.get(key, "").split()
        if name.lower() != "none"
    ]
    return tuple(Path(name).expanduser() for name in (*own, *files))


def _proxy_command(found: Mapping[str, str]) -> str | None:
    command = found.get("proxycommand")
    return None if command is None or command.lower() == "none" else command


def _timeout(options: SshOptions, ssh: Ssh, found: Mapping[str, str]) -> float:
    if options.connect_timeout_seconds:
        return float(options.connect_timeout_seconds)
    if "connect_timeout_seconds" in ssh.model_fields_set or "connecttimeout" not in found:
        return float(ssh.connect_timeout_seconds)
    return float(found["connecttimeout"])
