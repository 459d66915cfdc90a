"""A monitor with a key of its own, as it looks at a host; and what else may be tried with that key.

It logs in by OpenSSH's own client, so what is refused is refused by sshd and by the host.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cartwheel.host.state.watchers import USER
from cartwheel.host.wire.codec import from_message
from cartwheel.host.wire.look import AppLook, HostLook
from cartwheel.host.wire.monitors import Allowed, AllowMonitor, Forbidden, ForbidMonitor
from cartwheel.host.wire.request import About, Request
from cartwheel.ssh.connection import Gateways
from cartwheel.ssh.session import open_session
from cartwheel.ssh.target import Target
from cartwheel_lab import LabHost

A = TypeVar("A")
VERSION = "1.0.0"


def ask(host: LabHost, app: str, request: Request[A]) -> A:
    """One request of the operator's side, as root."""
    target = Target(
        host.name,
        host.address,
        host.port,
        "root",
        identities=(host.identity,),
        identities_only=True,
        known_hosts=(host.known_hosts,),
    )
    with gateways() as pool:
        about = About(app, "/srv", "a test", "")
        with open_session(target, pool, about=about) as session:
            return session.request(request)


@contextmanager
def gateways() -> Iterator[Gateways]:
    pool = Gateways()
    try:
        yield pool
    finally:
        pool.close()


@dataclass(frozen=True)
class Monitor:
    """`key`: the file of its private key; the public one is beside it."""

    name: str
    key: Path

    @classmethod
    def new(cls, name: str, folder: Path) -> Monitor:
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / name
        words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key))
        subprocess.run(words, check=True, timeout=30)
        return cls(name, key)

    @property
    def public(self) -> str:
        return " ".join(self.key.with_suffix(".pub").read_text().split()[:2])

    def allow(
        self, host: LabHost, app: str = "shop", *, version: str = VERSION, sources: str = ""
    ) -> Allowed:
        words = tuple(sources.split())
        return ask(host, app, AllowMonitor(self.name, self.public, words, version))

    def forbid(self, host: LabHost, app: str = "shop") -> Forbidden:
        return ask(host, app, ForbidMonitor(self.name))

    def ssh(self, host: LabHost, *options: str, user: str = USER) -> list[str]:
        """The command of a login without what is asked for."""
        fixed = (
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            "ConnectTimeout=10",
            "LogLevel=ERROR",
            f"UserKnownHostsFile={host.known_hosts}",
            f"Port={host.port}",
            f"IdentityFile={self.key}",
        )
        words = [word for one in fixed for word in ("-o", one)]
        return ["ssh", "-F", "none", *words, *options, f"{user}@{host.address}"]

    def run(
        self, host: LabHost, *words: str, options: tuple[str, ...] = (), given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.ssh(host, *options), *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def look(self, host: LabHost, word: str = "state") -> HostLook:
        done = self.run(host, word)
        assert done.returncode == 0, done
        assert done.stderr == "", done
        return from_message(HostLook, json.loads(done.stdout))

    def app(self, host: LabHost, app: str = "shop") -> AppLook:
        found = self.look(host)
        assert not found.unread, found
        return next(one for one in found.apps if one.app == app)

    def is_let_in(self, host: LabHost) -> bool:
        return self.run(host, "hello").returncode == 0
