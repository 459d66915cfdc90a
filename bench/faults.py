"""Inject every fault at every point of a first deploy, a redeploy and a rollback, under load.

The points are recorded from real commands at the start. Several hosts work in parallel. Each try
injects one fault at one point and judges the host: at once, after a reboot, and after a plain
deploy. Prints all violations and the numbers. The exit code is 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import os
import queue
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cartwheel.events import silent
from cartwheel_lab import Lab, LabHost
from cartwheel_lab.faults.kinds import FAULTS, Fault
from cartwheel_lab.faults.points import Point, calls, messages
from cartwheel_lab.lab import STATE_VARIABLE
from tests.kit.ending import clean_up_when_ended
from tests.kit.faulting import DISK_MB, SCENARIOS, Scenario, Shore, Try, new_shore, pairs

TOLD_SECONDS = 60.0

Job = tuple[Scenario, Point, Fault]


@dataclass
class Tally:
    """The results of all tries."""

    jobs: int
    done: int = 0
    unmet: int = 0
    broken: list[Try] = field(default_factory=list)
    by_fault: Counter[str] = field(default_factory=Counter)
    points: set[tuple[Scenario, Point]] = field(default_factory=set)
    guard: threading.Lock = field(default_factory=threading.Lock)
    began: float = field(default_factory=time.monotonic)

    def add(self, one: Try) -> None:
        with self.guard:
            self.done += 1
            self.unmet += not one.struck
            self.by_fault[one.fault] += one.struck
            if one.struck:
                self.points.add((one.scenario, one.point))
            if one.violations:
                self.broken.append(one)
                print(f"BROKEN {one}\n  said: {one.said}", flush=True)
            elif not one.struck:
                print(one, flush=True)

    def told(self) -> str:
        minutes = (time.monotonic() - self.began) / 60
        return (
            f"{self.done} of {self.jobs} tries, {len(self.points)} points,"
            f" {len(self.broken)} broken, {minutes:.0f} min"
        )


def main(arguments: Sequence[str]) -> int:
    """Record, inject all faults, print the violations."""
    wanted = _options(arguments)
    clean_up_when_ended()
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder) / "lab", emit=silent)
        os.environ[STATE_VARIABLE] = str(lab.state)
        try:
            hosts = lab.up(wanted.hosts * wanted.fleet, disk_mb=DISK_MB)
            shores = _shores(hosts, Path(folder), wanted)
            jobs = _jobs(shores[0], wanted)
            tally = _try_all(shores, jobs)
        finally:
            lab.down()
    print(tally.told())
    struck = tally.done - tally.unmet
    print(f"struck {struck}, not reached {tally.unmet}: {dict(tally.by_fault)}")
    print(f"violations: {len(tally.broken)}")
    return 1 if tally.broken else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/faults", description=__doc__)
    parser.add_argument("--hosts", type=int, default=4, help="hosts that work in parallel")
    parser.add_argument(
        "--fleet",
        type=int,
        default=1,
        metavar="N",
        help="number of hosts of each command, one of which is struck: the canary or the last",
    )
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="only this one")
    parser.add_argument("--fault", choices=list(FAULTS), action="append", help="only this one")
    parser.add_argument(
        "--sample", type=int, help="number of tries: first each point once, then again"
    )
    parser.add_argument("--part", default="1/1", help="e.g. 2/5: the second fifth of all tries")
    parser.add_argument("--seed", type=int, default=3, help="of the tries' order")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="an app with workers, a poller, an exclusive process and timers",
    )
    parser.add_argument(
        "--https", action="store_true", help="HTTPS, with another certificate for each release"
    )
    parser.add_argument("--server", choices=("nginx", "apache"), default="nginx")
    parser.add_argument(
        "--beyond-plain",
        action="store_true",
        help="with --whole or --https: no points that a plain app has",
    )
    parser.add_argument("--list", action="store_true", help="only print the points")
    return parser.parse_args(arguments)


def _shores(hosts: Sequence[LabHost], folder: Path, wanted: argparse.Namespace) -> list[Shore]:
    """The shores. Every other fleet is struck at its first host, the others at their last."""
    found, size = [], wanted.fleet
    for number, at in enumerate(range(0, len(hosts), size)):
        fleet = list(hosts[at : at + size])
        struck = fleet.pop(0 if number % 2 == 0 else -1)
        found.append(
            new_shore(
                struck,
                folder / struck.name,
                fleet,
                whole=wanted.whole,
                secure=wanted.https,
                server=wanted.server,
            )
        )
    return found


def _jobs(shore: Shore, wanted: argparse.Namespace) -> list[Job]:
    """All tries, in an order that finds problems early."""
    jobs: list[Job] = []
    for scenario in wanted.scenario or SCENARIOS:
        points = shore.record(scenario)
        if wanted.beyond_plain:
            known = _plain_points(shore, scenario)
            points = [point for point in points if point not in known]
        here = [(scenario, *pair) for pair in pairs(points)]
        print(
            f"{scenario}: {len(messages(points))} messages, {len(calls(points))} calls on the host"
            f" (of {len(points)} recorded), {len(here)} faults at points"
        )
        if wanted.list:
            print("\n".join(f"  {point}" for point in [*messages(points), *calls(points)]))
        jobs += here
    chosen = _ordered(
        [job for job in jobs if not wanted.fault or job[2].name in wanted.fault], wanted.seed
    )
    part, parts = (int(word) for word in wanted.part.split("/"))
    print(
        f"{len(chosen)} in all; part {wanted.part} in the order of seed {wanted.seed}", flush=True
    )
    return [] if wanted.list else chosen[part - 1 :: parts][: wanted.sample]


def _plain_points(shore: Shore, scenario: Scenario) -> set[Point]:
    """The points of an app without processes besides web, and without HTTPS."""
    whole, secure = shore.whole, shore.secure
    shore.whole = shore.secure = False
    found = set(shore.record(scenario))
    shore.whole, shore.secure = whole, secure
    shore.deploy_new()  # the tries begin with what a whole one leaves
    shore.deploy_new()
    return found


def _ordered(jobs: Sequence[Job], seed: int) -> list[Job]:
    """In random order, but every point comes once before any comes again."""
    shuffled = list(jobs)
    random.Random(seed).shuffle(shuffled)
    times: Counter[tuple[Scenario, Point]] = Counter()
    rounds: list[tuple[int, Job]] = []
    for job in shuffled:
        times[job[:2]] += 1
        rounds.append((times[job[:2]], job))
    return [job for _, job in sorted(rounds, key=lambda one: one[0])]


def _try_all(shores: Sequence[Shore], jobs: Sequence[Job]) -> Tally:
    tally, waiting = Tally(len(jobs)), queue.SimpleQueue[Job]()
    for job in jobs:
        waiting.put(job)

    def work(shore: Shore) -> None:
        while True:
            try:
                scenario, point, fault = waiting.get_nowait()
            except queue.Empty:
                return
            one = shore.survive(scenario, point, fault)
            tally.add(one)
            if one.violations:
                shore.renew()

    threads = [threading.Thread(target=work, args=[shore], daemon=True) for shore in shores]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for thread in threads:
            thread.join(TOLD_SECONDS / len(threads))
        print(tally.told(), flush=True)
    return tally


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
