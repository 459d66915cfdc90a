"""A real sshd on loopback for one test: own keys, own configuration, own port."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartwheel.ssh.target import Target
from tests.kit.ports import free_port

SSHD = "/usr/sbin/sshd"
PRIVILEGE_SEPARATION_FOLDER = Path("/run/sshd")  # compiled into sshd; wanted when root


@dataclass
class Sshd:
    """A running server and what a client needs to know of it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    host_keys: dict[str, Path]
    identity: Path
    known_hosts: Path
    extra: dict[str, str] = field(default_factory=dict)

    def target(self, **changes: Any) -> Target:
        """A target that is let in, with what a test wants otherwise."""
        fields: dict[str, Any] = {
            "name": "box",
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "identities": (self.identity,),
            "identities_only": True,
            "known_hosts": (self.known_hosts,),
        }
        fields.update(changes)
        return Target(**fields)

    def public_key(self, kind: str = "ed25519") -> str:
        return " ".join(Path(f"{self.host_keys[kind]}.pub").read_text().split()[:2])

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def keygen(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
    return path


def start_sshd(
    folder: Path,
    *,
    options: Mapping[str, str] | None = None,
    kinds: tuple[str, ...] = ("ed25519",),
    known: bool = True,
) -> Sshd:
    """Start sshd and wait until it answers; the caller stops it."""
    assert shutil.which(SSHD), "run script/test-packages: there is no sshd"
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION_FOLDER.mkdir(mode=0o755, exist_ok=True)
    host_keys = {kind: keygen(folder / f"host_{kind}", kind) for kind in kinds}
    identity = keygen(folder / "id")
    authorized = folder / "authorized_keys"
    authorized.write_text(Path(f"{identity}.pub").read_text())
    port = free_port()
    lines = {
        "ListenAddress": f"127.0.0.1:{port}",
        "AuthorizedKeysFile": str(authorized),
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "yes",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "LogLevel": "VERBOSE",
        **(options or {}),
    }
    text = "".join(f"HostKey {path}\n" for path in host_keys.values())
    text += "".join(f"{name} {value}\n" for name, value in lines.items())
    config = folder / "sshd_config"
    config.write_text(text)
    log = (folder / "log").open("wb")
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log)
    log.close()
    server = Sshd(folder, port, process, host_keys, identity, folder / "known_hosts")
    server.known_hosts.write_text("")
    if known:
        entries = (f"[127.0.0.1]:{port} {server.public_key(kind)}\n" for kind in kinds)
        server.known_hosts.write_text("".join(entries))
    _wait_for(server)
    return server


def _wait_for(server: Sshd) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert server.process.poll() is None, (server.folder / "log").read_text()
        try:
            with socket.create_connection(("127.0.0.1", server.port), 1) as probe:
                probe.recv(4)
                return
        except OSError:
            time.sleep(0.02)
    server.stop()
    raise AssertionError("sshd did not start")
