"""Let two operators deploy to overlapping sets of hosts at the same time, many times.

One of them waits or is refused. Afterwards every host serves one complete release, hosts that both
deployed to serve the same one, and nobody waited for ever. Otherwise the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cartwheel.errors import Exit
from cartwheel.events import silent
from cartwheel_lab import Lab, LabHost
from cartwheel_lab.lab import STATE_VARIABLE
from tests.kit.ending import clean_up_when_ended
from tests.kit.fab import Fab, fab
from tests.kit.host import current, get
from tests.kit.project import Project, new_project

HOSTS = 3
COMMAND_SECONDS = 120.0
MOST_APART_SECONDS = 1.5  # both start within this time
# These releases are on the hosts already, because only the order of the switches matters here.
TEXTS = {"ann": ("ann 1", "ann 2"), "bob": ("bob 1", "bob 2")}
SETTINGS = """
[app]
name = "shop"
source = "app"
[gunicorn]
workers = 1
[health]
count = 2
span_seconds = 0.1
[deploy]
keep_releases = 8
drain_seconds = 1
probation_seconds = 0.2
"""


@dataclass
class Operator:
    """One who deploys, from their own project; `release` is the next one to deploy."""

    who: str
    project: Project
    turn: int = 0
    text: str = ""

    def next(self) -> None:
        self.text = TEXTS[self.who][self.turn % 2]
        self.turn += 1
        self.project.app(self.text)


@dataclass(frozen=True)
class Attempt:
    """One operator's deploy: its hosts, and how it ended."""

    who: str
    text: str
    hosts: frozenset[str]
    code: int

    @property
    def is_done(self) -> bool:
        return self.code == Exit.OK


def main(arguments: Sequence[str]) -> int:
    """Try, judge, print."""
    clean_up_when_ended()
    parser = argparse.ArgumentParser(prog="bench/rivals", description=__doc__)
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=3)
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        lab = Lab(Path(scratch) / "lab", emit=silent)
        os.environ[STATE_VARIABLE] = str(lab.state)
        try:
            broken = try_all(lab.up(HOSTS), Path(scratch), wanted.tries, wanted.seed)
        finally:
            lab.down()
    print(f"broken: {broken}")
    return 1 if broken else 0


def try_all(hosts: Sequence[LabHost], folder: Path, tries: int, seed: int) -> int:
    """Run all tries; the number of those that broke something."""
    operators = [Operator(who, new_project(folder / who)) for who in TEXTS]
    names = ",".join(host.name for host in hosts)
    for operator in operators:
        operator.project.settings(SETTINGS)
    operators[0].project.fab("setup", "-H", names)
    for operator in operators * 2:
        operator.next()
        operator.project.fab("deploy", "-H", names)
    chance, broken, ends = random.Random(seed), 0, Counter[str]()
    for number in range(1, tries + 1):
        before = {host.name: get(host) for host in hosts}
        attempts = _at_once(operators, hosts, chance)
        found = judge(attempts, before, hosts)
        ends[
            " and ".join(sorted("done" if one.is_done else f"exit {one.code}" for one in attempts))
        ] += 1
        for text in found:
            print(f"try {number}: {text}: {attempts}", flush=True)
        broken += bool(found)
        if number % 20 == 0 or number == tries:
            print(f"{number} tries: {dict(ends)}, {broken} broken", flush=True)
    return broken


def _at_once(
    operators: Sequence[Operator], hosts: Sequence[LabHost], chance: random.Random
) -> list[Attempt]:
    """Both deploy to some of the hosts at nearly the same time; they share at least one host."""
    order = chance.sample(list(operators), len(operators))
    with ExitStack() as stack:
        running: list[tuple[Operator, frozenset[str], Fab]] = []
        for operator in order:
            operator.next()
            chosen = [host.name for host in chance.sample(list(hosts), chance.randint(2, HOSTS))]
            words = ("deploy", "-H", ",".join(chosen), "--wait", chance.choice(("0", "60")))
            running.append(
                (operator, frozenset(chosen), stack.enter_context(fab(operator.project, *words)))
            )
            time.sleep(chance.uniform(0, MOST_APART_SECONDS))
        return [
            Attempt(operator.who, operator.text, chosen, one.end(COMMAND_SECONDS))
            for operator, chosen, one in running
        ]


def judge(
    attempts: Sequence[Attempt], before: dict[str, str], hosts: Sequence[LabHost]
) -> list[str]:
    """All violations."""
    now = {host.name: get(host) for host in hosts}
    found = [
        f"{one.who} ended with {one.code}"
        for one in attempts
        if one.code not in (Exit.OK, Exit.LOCKED)
    ]
    if not any(one.is_done for one in attempts):
        found.append("neither succeeded")
    for name, text in now.items():
        may = {one.text for one in attempts if one.is_done and name in one.hosts} or {before[name]}
        if text not in may:
            found.append(f"{name} serves {text!r}, not one of {sorted(may)}")
    done = [one for one in attempts if one.is_done]
    if len(done) == len(attempts):
        both = frozenset.intersection(*(one.hosts for one in done))
        if len({now[name] for name in both}) != 1:
            found.append(f"a mixture of releases: {now}")
    if any(host.exec(["test", "-e", "/srv/shop/pending.json"]).returncode == 0 for host in hosts):
        found.append("a switch is pending")
    releases = {current(host, "shop") for host in hosts}
    if len(releases) != len(set(now.values())):
        found.append(f"{releases} say {set(now.values())}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
