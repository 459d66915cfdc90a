"""The cost of sending a wheel to hosts: to each over SSH, or through a store.

An app whose wheel contains incompressible data is updated on 1, 2, ... lab hosts, alternating
without and with a store (an HTTP folder). The figures are the bytes to each host over SSH and to
the store, the time, and the processor time and memory of `fab`. The store is one process here and
one inside each host's network, so the figures do not depend on its own line.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cartwheel.build.wheel import write_wheel
from cartwheel.events import silent
from cartwheel_lab import Lab, LabHost
from tests.kit import artifact_store
from tests.kit.ending import clean_up_when_ended
from tests.kit.fab import measured
from tests.kit.ports import free_port
from tests.kit.project import new_project

APP = b"""
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


@dataclass(frozen=True)
class Cost:
    """One deploy. Bytes to all hosts over SSH, and to the store."""

    seconds: float
    cpu_seconds: float
    memory_bytes: int
    ssh_bytes: int
    store_bytes: int


def main() -> None:
    clean_up_when_ended()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hosts", type=int, default=4, help="the highest number of hosts")
    options.add_argument("--megabytes", type=int, default=10, help="of the wheel")
    options.add_argument("--rounds", type=int, default=3, help="deploys of each kind")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="cartwheel-bench-") as scratch:
        folder = Path(scratch)
        lab = Lab(folder / "lab", emit=silent)
        os.environ["CARTWHEEL_LAB_STATE"] = str(lab.state)
        try:
            Spread(folder, lab.up(count=given.hosts), given.megabytes).run(given.rounds)
        finally:
            lab.down()


class Spread:
    def __init__(self, folder: Path, hosts: list[LabHost], megabytes: int) -> None:
        self.hosts = hosts
        self.megabytes = megabytes
        self.project = new_project(folder / "project")
        self.shelf = folder / "store"
        self.shelf.mkdir()
        self.port = free_port()
        self.number = 0

    def run(self, rounds: int) -> None:
        with ExitStack() as stack:
            stack.enter_context(artifact_store.process(self.port, self.shelf, "here"))
            for host in self.hosts:
                start = host.popen_in_netns
                serving = artifact_store.process(self.port, self.shelf, host.name, start=start)
                stack.enter_context(serving)
            self.deploy(self.hosts, store=False, words=("setup",))
            self.deploy(self.hosts, store=False)  # for the work that is done only once
            count = 1
            while count <= len(self.hosts):
                chosen = self.hosts[:count]
                costs = [
                    (self.deploy(chosen, store=False), self.deploy(chosen, store=True))
                    for _ in range(rounds)
                ]
                self.show(count, *zip(*costs, strict=True))
                count *= 2

    def show(self, count: int, *kinds: tuple[Cost, ...]) -> None:
        print(f"{count} hosts, a wheel of {self.megabytes} MB, medians of {len(kinds[0])}")
        for name, costs in zip(("over SSH", "by a store"), kinds, strict=True):
            middle = {
                key: statistics.median(getattr(one, key) for one in costs)
                for key in Cost.__dataclass_fields__
            }
            print(
                f"  {name:10}  {middle['seconds']:5.2f} s, {middle['cpu_seconds']:5.2f} s of fab's"
                f" CPU, {middle['memory_bytes'] / 1e6:.1f} MB of its memory;"
                f" {middle['ssh_bytes'] / count / 1e6:.3f} MB to each host,"
                f" {middle['store_bytes'] / 1e6:.3f} MB to the store",
                flush=True,
            )

    def deploy(
        self, hosts: list[LabHost], *, store: bool, words: tuple[str, ...] = ("deploy",)
    ) -> Cost:
        """Deploy a release in which every byte is new."""
        self.number += 1
        self.settings(self.wheel(), store=store)
        before, sent_before = self.carried(hosts), self.sent()
        names = ",".join(host.name for host in hosts)
        began = time.monotonic()
        run = measured(self.project, *words, "-H", names)
        seconds = time.monotonic() - began
        return Cost(
            seconds,
            run.cpu_seconds,
            run.memory_bytes,
            self.carried(hosts) - before,
            self.sent() - sent_before,
        )

    def carried(self, hosts: list[LabHost]) -> int:
        return sum(int(host.line()["to_host"]) for host in hosts)

    def sent(self) -> int:
        return sum(one.received for one in artifact_store.requests(self.shelf, "here"))

    def wheel(self) -> str:
        version = f"1.0.{self.number}"
        info = f"payload-{version}.dist-info"
        about = f"Metadata-Version: 2.1\nName: payload\nVersion: {version}\n".encode()
        kind = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        files = {
            "payload/__init__.py": (APP, False),
            "payload/data": (os.urandom(self.megabytes * 1_000_000), False),
            f"{info}/METADATA": (about, False),
            f"{info}/WHEEL": (kind, False),
        }
        path = self.project.folder / f"payload-{version}-py3-none-any.whl"
        write_wheel(path, files, info)
        return path.name

    def settings(self, wheel: str, *, store: bool) -> None:
        text = f'[app]\nname = "hello"\nsource = "{wheel}"\nentry = "payload:app"\n'
        text += "[gunicorn]\nworkers = 1\n[deploy]\ndrain_seconds = 2\nkeep_releases = 2\n"
        if store:
            text += f'[artifacts]\nurl = "http://127.0.0.1:{self.port}/files"\n'
        (self.project.folder / "config" / "deploy.toml").write_text(text)


if __name__ == "__main__":
    main()
