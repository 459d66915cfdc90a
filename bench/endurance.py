"""Deploy and roll back many times on one host under load: does anyone notice, and what remains?

Each round is a deploy of new code and a rollback. During a rollback the host's package index is
unreachable, and the operator has only the host's own network. Afterwards the host must not have
more of anything than before. Prints one table; the exit code is 1 if a figure exceeds its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import census
from bench.census import Census
from cartwheel.events import silent
from cartwheel_lab import Lab, LabHost
from cartwheel_lab.load import Plan
from cartwheel_lab.visitors import visiting
from tests.kit.ending import clean_up_when_ended
from tests.kit.shop import Shop, new_shop
from tests.kit.visitors import KINDS

APP = "shop"
ROUNDS = 100
KEEP_RELEASES = 5
LATE_SECONDS = 1.0  # beyond a request's own work
ROLLBACK_SECONDS = 2.0  # beyond the drain
MEMORY_GROWTH = 0.10
DISK_GROWTH = 0.01  # the releases' code differs by some bytes
HOURS_SECONDS = 6 * 3600.0
MEMORY_UNITS = ("init.scope", "nginx.service", f"cartwheel-{APP}.web.*.service")

# Everything else has Cartwheel's defaults: watch period, drain, lease.
SETTINGS = """
[app]
name = "{app}"
source = "app"
entry = "app:app"

[tests]
skip = true

[gunicorn]
workers = 2
threads = 8

[deploy]
keep_releases = {keep_releases}
"""


@dataclass(frozen=True)
class Taken:
    """One command, in seconds from its start: when the other release had the traffic, when the
    old instance had answered its last requests and was stopped, when the command had ended."""

    serves: float
    drained: float
    ends: float

    @property
    def drain(self) -> float:
        return self.drained - self.serves

    @property
    def beyond_drain(self) -> float:
        return self.ends - self.drain


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure, and its upper and lower limit."""

    what: str
    now: float
    most: float | None = None
    least: float | None = None
    before: float | None = None
    note: str = ""

    @property
    def is_over(self) -> bool:
        too_much = self.most is not None and self.now > self.most
        return too_much or (self.least is not None and self.now < self.least)


def main() -> int:
    clean_up_when_ended()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=ROUNDS, help="deploys, and rollbacks")
    rounds = options.parse_args().rounds
    with lab_host() as (host, folder):
        rows = endure(host, folder, rounds)
    print(table(rows))
    return 1 if any(row.is_over for row in rows) else 0


def endure(
    host: LabHost,
    folder: Path,
    rounds: int,
    *,
    keep_releases: int = KEEP_RELEASES,
    rollback_seconds: float = ROLLBACK_SECONDS,
) -> list[Row]:
    """Run all rounds under load on a fresh host; returns the table's rows."""
    shop = serving_shop(host, folder, keep_releases)
    before = census.of(host, APP)
    deploys, rollbacks = [], []
    with visiting(host, visitors(shop, rounds)) as visits:
        for number in range(1, rounds + 1):
            shop.code()
            deploys.append(timed(shop, host, "deploy"))
            with no_network(host) as inside:
                rollbacks.append(timed(shop, host, "rollback", inside))
            tell(number, deploys[-1], rollbacks[-1])
    after = census.of(host, APP)
    return [
        *of_visitors(visits.result),
        *of_commands(deploys, rollbacks, rollback_seconds),
        *of_host(before, after, rounds),
    ]


# --- the host and its application


@contextmanager
def lab_host() -> Iterator[tuple[LabHost, Path]]:
    """A fresh host in its own lab, and a folder; both are removed at the end."""
    with tempfile.TemporaryDirectory(prefix="cartwheel-bench-") as scratch:
        lab = Lab(Path(scratch) / "lab", emit=silent)
        os.environ["CARTWHEEL_LAB_STATE"] = str(lab.state)
        try:
            yield lab.up(count=1)[0], Path(scratch)
        finally:
            lab.down()


def serving_shop(host: LabHost, folder: Path, keep_releases: int) -> Shop:
    """An application that has been in use: with as many releases as are kept, one of them rolled
    back, and with every kind of request sent before."""
    shop = new_shop(folder / "project")
    shop.project.settings(SETTINGS.format(app=APP, keep_releases=keep_releases))
    shop.project.fab("setup", "-H", host.name)
    for _ in range(keep_releases):
        shop.project.fab("deploy", "-H", host.name)
        shop.code()
    with visiting(host, visitors(shop, 1)):
        shop.project.fab("deploy", "-H", host.name)
        shop.project.fab("rollback", "-H", host.name)
    return shop


def visitors(shop: Shop, rounds: int) -> Plan:
    """All kinds of visitors, until they are stopped. An unknown release is a failure."""
    marks = [f"mark{number}" for number in range(1, shop.marks + rounds + 1)]
    return Plan(
        seconds=HOURS_SECONDS, pause_seconds=0.05, late_seconds=LATE_SECONDS, releases=marks
    )


# --- one command


@contextmanager
def no_network(host: LabHost) -> Iterator[tuple[str, ...]]:
    """Cut off both sides: no package index answers the host, and the operator is inside the host's
    own network, which contains only the host. Yields the command that starts `fab` there."""
    host.network(services=False)
    try:
        yield ("nsenter", "--net", "--target", str(host.init.pid))
    finally:
        host.network(services=True)


def timed(shop: Shop, host: LabHost, word: str, inside: Sequence[str] = ()) -> Taken:
    """Run `fab WORD` as a person would. Raises SystemExit with its output if it fails."""
    project = shop.project
    began = time.time()
    done = subprocess.run(
        [*inside, *project.command(word, "--json", "-H", host.name)],
        cwd=project.folder,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    ended = time.time()
    if done.returncode:
        raise SystemExit(f"fab {word}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    at = {
        (line["step"], line["state"]): line["at"]
        for line in map(json.loads, done.stdout.splitlines())
        if line["type"] == "event"
    }
    return Taken(at["traffic", "done"] - began, at["drain", "done"] - began, ended - began)


def tell(number: int, *both: Taken) -> None:
    """Print a line for each round, with this machine's load, which affects the seconds."""
    shown = [f"serves {one.serves:.2f}, drain {one.drain:.2f}, ends {one.ends:.2f}" for one in both]
    print(f"{number}: {' | '.join(shown)} | load {os.getloadavg()[0]:.1f}", flush=True)


# --- the table


def of_visitors(seen: dict[str, Any]) -> list[Row]:
    rows = [
        Row(f"requests: {kind}", seen["sent"].get(kind, 0), least=1, note=stall_of(seen, kind))
        for kind in KINDS
    ]
    failed = "; ".join(f"{one['kind']}: {one['problem']}" for one in seen["failures"][:3])
    return [
        *rows,
        Row("requests that failed", seen["failed"], most=0, note=failed),
        Row("requests more than 1 s slower than their own work", seen["late"], most=0),
        Row("kept connections that were closed", len(seen["idle_closed"]), most=0),
        Row("longest stall, s", seen["longest_stall_seconds"], most=LATE_SECONDS),
    ]


def stall_of(seen: dict[str, Any], kind: str) -> str:
    return f"longest stall {seen['stalls'].get(kind, 0.0):.3f} s"


def of_commands(deploys: list[Taken], rollbacks: list[Taken], rollback_seconds: float) -> list[Row]:
    def row(what: str, values: list[float], most: float | None = None) -> Row:
        return Row(
            f"{what}, s: worst", max(values), most, note=f"median {statistics.median(values):.2f}"
        )

    return [
        row("deploy, the command ends", [one.ends for one in deploys]),
        row("rollback, the other release serves", [one.serves for one in rollbacks]),
        row("rollback, the command ends", [one.ends for one in rollbacks]),
        row("rollback, the drain in it", [one.drain for one in rollbacks]),
        row(
            "rollback without the drain", [one.beyond_drain for one in rollbacks], rollback_seconds
        ),
    ]


def of_host(before: Census, after: Census, rounds: int) -> list[Row]:
    return [
        counted("processes", before.processes, after.processes),
        counted("units", before.units, after.units),
        counted("open files", before.open_files, after.open_files),
        Row("mounts", after.mounts, most=before.mounts, before=before.mounts),
        Row("releases", len(after.releases), len(before.releases), before=len(before.releases)),
        *(on_disk(place, before, after) for place in before.disk),
        *(in_memory(unit, before.memory, after.memory) for unit in MEMORY_UNITS),
        in_memory("", without_journald(before.memory), without_journald(after.memory)),
        Row(
            "lines of history",
            after.history_lines,
            before.history_lines + 2 * rounds,
            before=before.history_lines,
        ),
    ]


def counted(what: str, before: Counter[str], after: Counter[str]) -> Row:
    """A row whose note lists what has increased."""
    more = ", ".join(f"{name} +{count}" for name, count in (after - before).items())
    return Row(what, after.total(), before.total(), before=before.total(), note=more)


def on_disk(place: str, before: Census, after: Census) -> Row:
    """A row in KiB whose note has the change in files."""
    was, now = before.disk[place] / 1024, after.disk[place] / 1024
    files = after.files[place] - before.files[place]
    allowed = was * (1 + DISK_GROWTH) if files <= 0 else 0.0
    return Row(f"KiB in {place}", now, allowed, before=was, note=f"{files:+d} files")


def in_memory(unit: str, before: Counter[str], after: Counter[str]) -> Row:
    """A row in MiB for a unit's processes, or for all processes."""
    was, now = (one[unit] if unit else one.total() for one in (before, after))
    mib = 1024 * 1024
    what = f"MiB of {unit}" if unit else "MiB of all processes except journald"
    return Row(what, now / mib, was / mib * (1 + MEMORY_GROWTH), before=was / mib)


def without_journald(memory: Counter[str]) -> Counter[str]:
    return Counter({unit: size for unit, size in memory.items() if unit != census.JOURNALD})


def table(rows: list[Row]) -> str:
    lines = ["| | before | after | limit | |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        note = ("OVER; " if row.is_over else "") + row.note
        figures = " | ".join(shown(one) for one in (row.before, row.now, row.most))
        lines.append(f"| {row.what} | {figures} | {note} |")
    return "\n".join(lines)


def shown(figure: float | None) -> str:
    if figure is None:
        return ""
    return str(figure) if isinstance(figure, int) else f"{figure:.2f}"


if __name__ == "__main__":
    sys.exit(main())
