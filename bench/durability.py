"""Try every disk that a power cut may leave, if any part of the unsynced data is lost.

The commands are a first deploy, a redeploy, a rollback, a redeploy by a newer Cartwheel, and the
way back at a boot. Each is recorded once. Every disk is checked and then booted: the installed
`recover` runs on it, and the live release is judged; on some disks a plain deploy follows. Several
hosts work in parallel, each on one scenario. Prints all violations and the numbers. The exit code
is 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from cartwheel.events import silent
from cartwheel_lab import Lab, LabHost
from cartwheel_lab.lab import STATE_VARIABLE
from tests.kit import durability
from tests.kit.durability import SCENARIOS, Durability, Scenario
from tests.kit.ending import clean_up_when_ended
from tests.kit.faulting import DISK_MB, new_shore

TOLD_SECONDS = 60.0


@dataclass
class Tally:
    """The result of one scenario."""

    scenario: Scenario
    told: str = ""
    booted: int = 0
    deployed: int = 0
    violations: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.told}; {self.booted} booted, {self.deployed} deployed to; "
            f"violations: {self.violations} ({self.seconds / 60:.0f} min)"
        )


@dataclass
class Work:
    """The remaining work, which the hosts share."""

    every: int
    deploys: int
    scenarios: list[Scenario]
    tallies: list[Tally] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> Scenario | None:
        with self.guard:
            return self.scenarios.pop(0) if self.scenarios else None


def main(arguments: Sequence[str]) -> int:
    """Record, boot with every disk, print the violations."""
    wanted = _options(arguments)
    clean_up_when_ended()
    work = Work(wanted.every, wanted.deploys, list(wanted.scenario or SCENARIOS))
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder) / "lab", emit=silent)
        os.environ[STATE_VARIABLE] = str(lab.state)
        try:
            hosts = lab.up(wanted.hosts, disk_mb=DISK_MB)
            with ThreadPoolExecutor(len(hosts)) as pool:
                list(pool.map(lambda host: _run(host, Path(folder), work), hosts))
        finally:
            lab.down()
    for tally in work.tallies:
        print(tally)
    violations = sum(tally.violations for tally in work.tallies)
    print(f"violations: {violations}")
    return 1 if violations else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/durability", description=__doc__)
    parser.add_argument("--hosts", type=int, default=2, help="hosts that work in parallel")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="only this one")
    parser.add_argument("--every", type=int, default=1, help="boot only every K-th disk")
    parser.add_argument(
        "--deploys", type=int, default=10, help="after every K-th boot a plain deploy follows"
    )
    return parser.parse_args(arguments)


def _run(host: LabHost, folder: Path, work: Work) -> None:
    """Run scenarios until none is left, each on a fresh disk."""
    while (scenario := work.take()) is not None:
        host.reset()
        shore = new_shore(host, folder / scenario)
        tally = Tally(scenario)
        work.tallies.append(tally)
        _try_all(Durability(shore, durability.record(shore, scenario)), work, tally)


def _try_all(one: Durability, work: Work, tally: Tally) -> None:
    began = told = time.monotonic()
    tally.told = durability.told(one)
    print(tally.told, flush=True)
    for number in range(len(one.disks)):
        for said in one.forbidden(number):
            tally.violations += 1
            print(f"BROKEN {tally.scenario}: disk {number}: {said}", flush=True)
    numbers = range(0, len(one.disks), work.every)
    for count, number in enumerate(numbers):
        found = one.survive(number, deploy=count % work.deploys == 0)
        tally.booted += 1
        tally.deployed += found.deployed
        if found.violations:
            tally.violations += len(found.violations)
            print(f"BROKEN {tally.scenario}: {found}", flush=True)
        tally.seconds = time.monotonic() - began
        if time.monotonic() - told > TOLD_SECONDS:
            told = time.monotonic()
            print(f"{tally.scenario}: {count + 1} of {len(numbers)} disks", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
