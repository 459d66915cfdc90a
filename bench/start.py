"""How long `fab` takes when it has little to do: a list, a status, an unchanged deploy.

They are compared with stock fabric's `fab --list` with a fabfile of one task; all alternate. The
main figure is processor time, which other work on the machine affects least. The first start in a
clone, which compiles everything, is measured too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.update import lab_hosts
from cartwheel_lab import LabHost
from tests.kit.ending import clean_up_when_ended
from tests.kit.host import main_pids
from tests.kit.project import CHECKOUT, FAB, Project, new_project, surroundings

STOCK = 'from fabric import task\n\n\n@task\ndef one(c):\n    "One."\n'
YARDSTICK = "stock fabric, fab --list"


@dataclass(frozen=True)
class Spent:
    """Seconds of one start."""

    cpu: float
    wall: float


Start = Callable[[], Spent]


def main() -> None:
    clean_up_when_ended()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    count = options.parse_args().rounds
    with (
        tempfile.TemporaryDirectory(prefix="cartwheel-bench-") as scratch,
        lab_hosts(Path(scratch), 1) as (host,),
    ):
        starts = make_starts(Path(scratch), host)
        for start in starts.values():  # fill the caches
            start()
        before = main_pids(host, "shop")
        rounds = [{name: start() for name, start in starts.items()} for _ in range(count)]
        if main_pids(host, "shop") != before:
            sys.exit("an unchanged deploy restarted something")
    show(rounds)


def make_starts(folder: Path, host: LabHost) -> dict[str, Start]:
    """The measured commands, by name; the host already serves the release to deploy."""
    stock = Project(folder / "stock")
    stock.write("fabfile.py", STOCK)
    project = new_project(folder / "project")
    for task in ("setup", "deploy"):
        project.fab(task, "-H", host.name)

    def first() -> Spent:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            return spent(clone(Path(scratch)), surroundings(), "--list")

    def of(project: Project, *words: str) -> Start:
        return lambda: spent(project.folder, project.environment(), *words)

    return {
        YARDSTICK: of(stock, "--list"),
        "fab --list": of(project, "--list"),
        "fab --list, first start": first,
        "fab status, one host": of(project, "status", "-H", host.name),
        "fab deploy, unchanged": of(project, "deploy", "-H", host.name),
    }


def clone(folder: Path) -> Path:
    """The project without any bytecode, as after `git clone`."""
    shutil.copy(CHECKOUT / "fabfile.py", folder)
    for name in ("tasks", "cartwheel", "lab"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, folder / name, ignore=ignored)
    return folder


def spent(folder: Path, environment: Mapping[str, str], *words: str) -> Spent:
    """User and system time of one `fab WORDS`, and the time until it ends."""
    started = time.monotonic()
    child = subprocess.Popen([FAB, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _pid, status, used = os.wait4(child.pid, 0)
    wall = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"fab {' '.join(words)} failed in {folder}")
    return Spent(used.ru_utime + used.ru_stime, wall)


def show(rounds: list[dict[str, Spent]]) -> None:
    print(f"medians of {len(rounds)} rounds       processor s  times stock  until it ends, s")
    for name in rounds[0]:
        cpu = statistics.median(each[name].cpu for each in rounds)
        ratio = statistics.median(each[name].cpu / each[YARDSTICK].cpu for each in rounds)
        wall = statistics.median(each[name].wall for each in rounds)
        print(f"{name:24} {cpu:13.3f} {ratio:12.2f} {wall:17.2f}")


if __name__ == "__main__":
    main()
