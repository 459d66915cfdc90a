"""fabric's Connection with host keys checked, quick sockets and clear failures."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import fabric
import paramiko

from cartwheel.errors import ConnectError
from cartwheel.ssh import known_hosts, revoked
from cartwheel.ssh.auth import Login
from cartwheel.ssh.known_hosts import HostKey
from cartwheel.ssh.proxy import Proxy, ProxyError, explained
from cartwheel.ssh.target import Target

# Bytes that are not acknowledged for this long end the connection (tcp(7)): with a heartbeat
# every two seconds a dead peer is noticed within twelve.
TCP_USER_TIMEOUT_MS = 8000
KEEPALIVE_SECONDS = 3
AUTH_TIMEOUT_SECONDS = 30.0
CHANNEL_TIMEOUT_SECONDS = 20.0
# How often paramiko's thread wakes up while nothing arrives. Its default of a tenth of a second
# costs a waiting fleet more processor time than all messages (bench/fleet).
_LOOK_UP_SECONDS = 1.0
_KEEPALIVE = {"TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}  # seconds, seconds, times

# paramiko logs the errors that it raises; without a handler they go to standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


# Where SSH is spoken.
Line = socket.socket | paramiko.Channel | Proxy


class StrictConnection(fabric.Connection):
    """One host, one thread. `open` checks the host's key before it logs in.

    Every failure is a ConnectError of the catalogue. Each connection has its own configuration,
    because fabric writes identities of one host into a shared one.
    """

    # fabric and invoke treat names of the class as attributes, and other names as settings.
    client: paramiko.SSHClient
    transport: paramiko.Transport
    target: Target = None  # type: ignore[assignment]  # set by __init__
    _gateways: Gateways = None  # type: ignore[assignment]  # set by __init__

    def __init__(self, target: Target, gateways: Gateways) -> None:
        config = fabric.Config(ssh_config=paramiko.SSHConfig(), lazy=True)
        config.merge()
        super().__init__(
            target.host, user=target.user, port=target.port, config=config.clone(), gateway=False
        )
        self.target = target
        self._gateways = gateways

    def derive_shorthand(self, host_string: str) -> dict[str, str | None]:
        # The target is already resolved; an IPv6 address must not be parsed again.
        return {"user": None, "host": host_string, "port": None}

    def open(self) -> None:
        if self.is_connected:
            return
        target = self.target
        with failures(target):
            sock = raw_socket(target, self._gateways)
            login: Any = Login(target)  # paramiko asks for more than it uses
            try:
                self.client.set_missing_host_key_policy(_Check(target))
                with explained(sock):
                    self.client.connect(
                        hostname=target.host,
                        port=target.port,
                        sock=sock,
                        timeout=target.connect_timeout_seconds,
                        banner_timeout=target.connect_timeout_seconds,
                        auth_timeout=AUTH_TIMEOUT_SECONDS,
                        channel_timeout=CHANNEL_TIMEOUT_SECONDS,
                        transport_factory=transport_for(target),
                        auth_strategy=login,
                    )
            except BaseException:
                self.client.close()
                sock.close()
                raise
            transport = self.client.get_transport()
            if transport is None:
                raise paramiko.SSHException("it was closed at once")
            self.transport = transport
            # Not answered, so TCP_USER_TIMEOUT notices; for channels without heartbeats.
            transport.set_keepalive(KEEPALIVE_SECONDS)
            if hasattr(sock, "shutdown"):
                transport.sock.settimeout(_LOOK_UP_SECONDS)

    def close(self) -> None:
        """Close at once, without waiting for paramiko's thread to wake up by itself."""
        if self.transport is not None and hasattr(self.transport.sock, "shutdown"):
            with contextlib.suppress(OSError):
                self.transport.sock.shutdown(socket.SHUT_RDWR)
        super().close()


class Gateways:
    """Gateways that several hosts share, each opened once. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._each: dict[Target, tuple[threading.Lock, StrictConnection]] = {}

    def channel(self, gateway: Target, target: Target) -> paramiko.Channel:
        """A channel from `gateway` to `target`, like `ssh -W`."""
        with self._lock:
            lock, connection = self._each.setdefault(
                gateway, (threading.Lock(), StrictConnection(gateway, self))
            )
        with lock:
            connection.open()
        try:
            return connection.transport.open_channel(
                "direct-tcpip",
                dest_addr=(target.host, target.port),
                src_addr=("", 0),
                timeout=target.connect_timeout_seconds,
            )
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise ConnectError(
                "ssh-unreachable",
                f"the gateway {gateway.name} cannot reach {target.host} port {target.port}:"
                f" {error}",
                host=target.name,
            ) from error

    def close(self) -> None:
        with self._lock:
            for _lock, connection in self._each.values():
                connection.close()
            self._each.clear()


def raw_socket(target: Target, gateways: Gateways) -> Line:
    """A socket to the host's SSH port: through its gateway, its ProxyCommand, or directly."""
    if target.gateway is not None:
        return gateways.channel(target.gateway, target)
    if target.proxy_command is not None:
        return Proxy(target.proxy_command)
    return quick_socket(target)


def quick_socket(target: Target) -> socket.socket:
    """A TCP connection without Nagle's delay that notices a dead peer."""
    sock = _dialled(target)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {**_KEEPALIVE, "TCP_USER_TIMEOUT": TCP_USER_TIMEOUT_MS}.items():
        if hasattr(socket, name):  # not every operating system has all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock


_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}


def _dialled(target: Target) -> socket.socket:
    """A connection to the first address that answers; ssh_config may restrict the addresses."""
    family = _FAMILIES[target.family]
    failed: OSError | None = None
    for *kind, _name, address in socket.getaddrinfo(
        target.host, target.port, family, socket.SOCK_STREAM
    ):
        sock = socket.socket(*kind)
        try:
            sock.settimeout(target.connect_timeout_seconds)
            if target.bind_address:
                sock.bind((target.bind_address, 0))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failed = failed or error
        else:
            return sock
    raise failed or OSError("the name has no address")


@contextlib.contextmanager
def failures(target: Target) -> Iterator[None]:
    """Turn errors of paramiko and sockets while connecting into ConnectError."""

    def unreachable(reason: str, *, is_passing: bool = False) -> ConnectError:
        where = "" if target.host == target.name else f"{target.host} "
        at = f"{where}port {target.port}"
        error = ConnectError("ssh-unreachable", f"{at}: {reason}", host=target.name)
        error.is_passing = is_passing
        return error

    try:
        yield
    except ConnectError:
        raise
    except socket.gaierror as error:
        is_busy = error.errno == socket.EAI_AGAIN
        raise unreachable("the host name cannot be resolved", is_passing=is_busy) from error
    except UnicodeError as error:  # a label of the name is empty, or longer than 63 characters
        raise unreachable("the host name cannot be resolved") from error
    except TimeoutError as error:
        raise unreachable(f"no answer within {target.connect_timeout_seconds:g} s") from error
    except ProxyError as error:
        reason = f"the ProxyCommand failed: {error}"
        raise unreachable(reason, is_passing=error.is_passing) from error
    except (paramiko.SSHException, EOFError) as error:
        reason = " ".join(str(error).split()) or "the host closed the connection"
        # sshd drops some connections while many log in (sshd_config(5), MaxStartups).
        raise unreachable(f"the SSH handshake failed: {reason}", is_passing=True) from error
    except OSError as error:
        is_passing = isinstance(error, ConnectionError)
        reason = (error.strerror or str(error)).lower()
        raise unreachable(reason, is_passing=is_passing) from error


class _Check(paramiko.MissingHostKeyPolicy):
    """For paramiko every key is 'missing', so that known_hosts.check alone decides."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def missing_host_key(
        self,
        client: paramiko.SSHClient,  # noqa: ARG002 - paramiko calls it so
        hostname: str,  # noqa: ARG002 - paramiko calls it so
        key: paramiko.PKey,
    ) -> None:
        shown = HostKey.of(key)
        revoked.check(self._target, shown)
        known_hosts.check(self._target, shown)


def transport_for(target: Target) -> Callable[..., paramiko.Transport]:
    """A factory of transports that first ask for the kinds of keys that are known."""
    kinds = {entry.key.kind for entry in known_hosts.known_entries(target) if not entry.marker}
    if "ssh-rsa" in kinds:
        kinds |= {"rsa-sha2-512", "rsa-sha2-256"}

    # Any: what paramiko passes on to its own class.
    def make(sock: Line, **named: Any) -> paramiko.Transport:
        transport = paramiko.Transport(sock, **named)
        security = transport.get_security_options()
        security.key_types = sorted(security.key_types, key=lambda kind: kind not in kinds)
        return transport

    return make


def fetch_key(target: Target, gateways: Gateways) -> HostKey:
    """The host's key; nothing is sent to the host, and nothing is saved.

    Gateways on the way are checked as always. Raises ConnectError.
    """
    with failures(target):
        sock = raw_socket(target, gateways)
        transport = transport_for(target)(sock)
        try:
            transport.banner_timeout = target.connect_timeout_seconds
            with explained(sock):
                transport.start_client(timeout=target.connect_timeout_seconds)
            shown = HostKey.of(transport.get_remote_server_key())
        finally:
            transport.close()
    revoked.check(target, shown)
    return shown
