"""Many hosts that one real sshd answers for: see pretended.py."""

from __future__ import annotations

import getpass
import json
import shlex
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.kit.project import Project, new_project
from tests.ssh.sshd import Sshd, start_sshd

FACTS = Path(__file__).with_name("facts.json")
PRETENDED = Path(__file__).with_name("pretended.py")
MANY = "2000"
LEAVING_SECONDS = 20.0

SETTINGS = """
[app]
name = "shop"
source = "app"
[tests]
skip = true
[ssh]
user = {user}
identity = {identity}
known_hosts = {known_hosts}
gateway = {gateway}
[inventory]
"""


@dataclass
class Crowd:
    """A project whose inventory is `count` hosts behind one sshd."""

    server: Sshd
    project: Project

    def hosts(self, count: int, port: int = 0, gateway: str = "none", more: str = "") -> None:
        """Write the inventory, with `more` under [inventory]; `port`: of a line to the sshd that
        is not its own."""
        address = f"127.0.0.1:{port or self.server.port}"
        tables = "".join(
            f'[inventory.hosts.h{number:03}]\naddress = "{address}"\n' for number in range(count)
        )
        shared = SETTINGS.format(
            user=json.dumps(getpass.getuser()),
            identity=json.dumps(str(self.server.identity)),
            known_hosts=json.dumps(str(self.server.known_hosts)),
            gateway=json.dumps(gateway),
        )
        self.project.settings(f"{shared}{more}\n{tables}")

    @property
    def served(self) -> list[Counter[str]]:
        """What each connection was asked, in no order; taken away by the look. A connection ends
        after the `fab` that made it."""
        end = time.monotonic() + LEAVING_SECONDS
        while list(self._state.glob("*.at-work")) and time.monotonic() < end:
            time.sleep(0.02)
        found = []
        for path in self._state.iterdir():
            found.append(Counter(path.read_text().split()))
            path.unlink()
        return found

    @property
    def _state(self) -> Path:
        return self.server.folder / "state"


def start_crowd(folder: Path) -> Crowd:
    """Start the sshd; the caller stops `server`."""
    state = folder / "sshd" / "state"
    state.mkdir(parents=True)
    command = shlex.join([sys.executable, "-S", "-E", str(PRETENDED), str(FACTS), str(state)])
    server = start_sshd(
        folder / "sshd",
        options={
            "ForceCommand": command,
            "MaxStartups": MANY,
            "LogLevel": "ERROR",
            # bash reads no start-up file of the person's below another shell: it may be slow.
            "SetEnv": "SHLVL=2",
        },
        known=False,
    )
    # Whatever the port of the line that leads to it.
    server.known_hosts.write_text(f"[127.0.0.1]:* {server.public_key()}\n")
    return Crowd(server, new_project(folder / "project"))
