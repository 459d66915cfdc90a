"""Host keys that ssh_config's RevokedHostKeys revokes (a list of keys, or a KRL)."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

from cartwheel import process_env, programs
from cartwheel.errors import ConnectError
from cartwheel.ssh.known_hosts import HostKey
from cartwheel.ssh.target import Target

_SECONDS = 30.0
_KRL = b"SSHKRL\n\0"  # PROTOCOL.krl


def check(target: Target, key: HostKey) -> None:
    """Raises ConnectError `host-key-changed` for a revoked key, and if that cannot be checked, as
    ssh does (ssh_config(5))."""
    for file in target.revoked_keys:
        _check(target, key, file)


def _check(target: Target, key: HostKey, file: Path) -> None:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise _refused(target, key, f"{file} cannot be read: {error.strerror}") from error
    if content.startswith(_KRL):
        _ask(target, key, file)
    elif base64.b64encode(key.blob) in content.split():
        raise _refused(target, key, f"it is listed in {file}")


def _ask(target: Target, key: HostKey, file: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".pub") as public:
        public.write(f"{key.kind} {base64.b64encode(key.blob).decode()}\n")
        public.flush()
        try:
            # ssh-keygen(1): 0 if it is not revoked.
            ended = programs.run(
                ["ssh-keygen", "-Q", "-f", str(file), public.name],
                env=process_env.of_tools(),
                cwd=Path.cwd(),
                deadline_seconds=_SECONDS,
            )
        except (OSError, programs.LateError) as error:
            raise _refused(target, key, f"ssh-keygen cannot read {file}") from error
    if ended.status != 0:
        raise _refused(target, key, f"{file}: {ended.tail(1)}")


def _refused(target: Target, key: HostKey, reason: str) -> ConnectError:
    return ConnectError(
        "host-key-changed",
        f"the host's key may be revoked ({reason}): {key.kind} {key.fingerprint}",
        host=target.name,
    )
