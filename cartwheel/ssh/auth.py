"""Logs in with the available keys and passwords, in a fixed order, and reports each attempt.

This replaces paramiko's own login, which tries every key as every kind, counts each attempt
against the server's limit, and does not say why a method failed.
"""

from __future__ import annotations

import base64
import binascii
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko

from cartwheel.errors import ConnectError
from cartwheel.ssh.target import Target

# The default keys of ssh(1), strongest first.
DEFAULT_IDENTITIES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")

_OPENSSH_KEY = b"openssh-key-v1\0"
_REASON_CHARACTERS = 300
_AGENT_SECONDS = 60.0  # a person may have to touch or unlock a key

Attempt = tuple[str, Callable[[paramiko.Transport], object]]


class Login:
    """paramiko's auth_strategy: named keys, the agent's keys, default keys, the password."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._tried: list[str] = []
        self._agent: paramiko.Agent | None = None

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Raises ConnectError `ssh-auth` if nothing is accepted."""
        try:
            for name, attempt in self._attempts():
                try:
                    attempt(transport)
                except paramiko.BadAuthenticationType as error:
                    self._tried.append(f"{name} ({_mismatch(name, error.allowed_types)})")
                except paramiko.AuthenticationException:
                    self._tried.append(f"{name} (refused)")
                else:
                    if transport.is_authenticated():
                        return
                    self._tried.append(
                        f"{name} (accepted, but the host requires another method too)"
                    )
                if not transport.is_active():
                    self._tried.append(f"then the host closed the connection{_reason(transport)}")
                    break
        finally:
            if self._agent is not None:
                self._agent.close()
        tried = "; ".join(self._tried) or "nothing: no key, no agent and no password"
        raise ConnectError(
            "ssh-auth",
            f"the host rejected the login as '{self._target.user}'; tried {tried}",
            host=self._target.name,
        )

    def _attempts(self) -> Iterator[Attempt]:
        target, user = self._target, self._target.user
        seen: set[bytes] = set()
        agent_keys = {key.asbytes(): key for key in self._agent_keys()}
        for path in target.identities:
            yield from self._from_file(path, agent_keys, seen, silent=False)
        if not target.identities_only:
            for blob, agent_key in agent_keys.items():
                if blob not in seen:
                    seen.add(blob)
                    yield f"agent key {_short(agent_key)}", _by_key(user, agent_key)
        if target.usual_identities and not target.identities:
            for name in DEFAULT_IDENTITIES:
                path = Path(name).expanduser()
                yield from self._from_file(path, agent_keys, seen, silent=True)
        if target.password is not None:
            password = target.password.reveal()
            yield "password", lambda t: t.auth_password(user, password, fallback=True)

    def _from_file(
        self, path: Path, agent_keys: dict[bytes, paramiko.AgentKey], seen: set[bytes], silent: bool
    ) -> Iterator[Attempt]:
        public, is_private = _look_at(path)
        if public in seen or (silent and not is_private):
            return
        if not is_private and public not in agent_keys:
            missing = "the agent does not have it" if public else "does not exist"
            self._tried.append(f"key {path} ({missing})")
            return
        try:
            key: paramiko.PKey = (
                _load(path, self._target.passphrase) if is_private else agent_keys[public]
            )
        except paramiko.PasswordRequiredException:
            if public not in agent_keys:
                self._tried.append(
                    f"key {path} (encrypted: use an agent or --prompt-for-passphrase)"
                )
                return
            key = agent_keys[public]
        except Exception as error:  # paramiko and cryptography raise many kinds of errors
            wrong = "wrong passphrase" if self._target.passphrase else str(error)
            self._tried.append(f"key {path} (cannot be read: {wrong})")
            return
        if public and public != key.asbytes():  # ssh believes the public half
            key = agent_keys.get(public, key)
        if key.asbytes() in seen:
            return
        seen.add(key.asbytes())
        kind = "agent key" if isinstance(key, paramiko.AgentKey) else "key"
        yield f"{kind} {path}", _by_key(self._target.user, key)

    def _agent_keys(self) -> tuple[paramiko.AgentKey, ...]:
        if self._target.agent == "none":
            return ()
        try:
            at = self._target.agent
            self._agent = _Agent(at) if at else paramiko.Agent()
            return self._agent.get_keys()
        except (paramiko.SSHException, OSError) as error:
            self._tried.append(f"agent ({error})")
            return ()


class _Agent(paramiko.Agent):
    """The agent at a socket (IdentityAgent); paramiko's own class only knows $SSH_AUTH_SOCK."""

    def __init__(self, path: str) -> None:
        paramiko.agent.AgentSSH.__init__(self)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_AGENT_SECONDS)
        try:
            connection.connect(path)
        except OSError as error:
            connection.close()
            raise OSError(f"{path}: {error.strerror}") from error
        self._connect(connection)  # type: ignore[attr-defined]  # paramiko's stubs lack it


def _reason(transport: paramiko.Transport) -> str:
    """Why the host refuses, if it said so: an expired account, /etc/nologin (RFC 4252, 5.4)."""
    heard = transport.auth_handler  # `get_banner` has nothing once the connection is closed
    banner = (heard.banner if heard else None) or b""
    said = " ".join(paramiko.util.b(banner).decode("utf-8", "replace").split())
    return f" and said: {said[-_REASON_CHARACTERS:]}" if said else ""


def _mismatch(name: str, accepted: list[str]) -> str:
    if name == "password" and "keyboard-interactive" in accepted:
        return "refused"  # it was tried that way too
    return f"the host accepts only {', '.join(accepted)}"


def _load(path: Path, passphrase: str | None) -> paramiko.PKey:
    """Raises PasswordRequiredException for an encrypted key without a passphrase."""
    try:
        # cryptography refuses a passphrase for a key that needs none: try without it first.
        return paramiko.PKey.from_path(path)
    except TypeError as error:
        if passphrase is None:
            raise paramiko.PasswordRequiredException(str(path)) from error
        said = passphrase.encode()
        return paramiko.PKey.from_path(path, said)  # type: ignore[arg-type]  # it takes bytes


def _by_key(user: str, key: paramiko.PKey) -> Callable[[paramiko.Transport], object]:
    return lambda transport: transport.auth_publickey(user, key)


def _look_at(path: Path) -> tuple[bytes, bool]:
    """The public half of a key, or nothing, and whether the file is there and has the private half.

    Like ssh: IdentityFile may name a public key, or a private one that only an agent has; beside
    it or in it may be its public half.
    """
    own, beside = _read(path), _read(Path(f"{path}.pub"))
    public = _public_blob(own)
    is_private = own is not None and not public
    return public or _public_blob(beside) or _public_half(own), is_private


def _read(path: Path) -> bytes | None:
    """A file's content; empty if there is a file that cannot be read."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        return b""


def _public_blob(content: bytes | None) -> bytes:
    """The key in a public key's file, or nothing."""
    fields = (content or b"").split(maxsplit=2)
    if len(fields) < len(("kind", "key")) or b"PRIVATE" in fields[1]:
        return b""
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except (binascii.Error, ValueError):
        return b""
    return blob if blob[4:].startswith(fields[0]) else b""


def _public_half(content: bytes | None) -> bytes:
    """The public half in a private key's file of OpenSSH (PROTOCOL.key), which is not encrypted."""
    text = b"".join(line for line in (content or b"").splitlines() if not line.startswith(b"-"))
    try:
        left = base64.b64decode(text).removeprefix(_OPENSSH_KEY)
        for _cipher_and_its_options in range(3):
            left = _string(left)[1]
        return _string(left[4:])[0]
    except (binascii.Error, struct.error):
        return b""


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A string of SSH (RFC 4251), and what follows it."""
    end = 4 + int(struct.unpack(">I", data[:4])[0])
    return data[4:end], data[end:]


def _short(key: paramiko.AgentKey) -> str:
    return str(key.comment or key.get_name())
