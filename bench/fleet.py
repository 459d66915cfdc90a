"""The cost of another host: the operator's processor time, memory, round trips, and time.

There are two kinds of hosts. One real sshd, 50 ms away, stands for all pretended hosts and answers
at once (tests/ssh/crowd.py), so the figures show almost only the operator's side; the time of sshd
and the pretended hosts is measured and subtracted. Lab hosts do all of a deploy's work on this
machine. Each row is a deploy of new code to a number of hosts, all of which serve at the end. The
exit code is 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cartwheel.events import silent
from cartwheel_lab import Lab
from cartwheel_lab.lab import STATE_VARIABLE
from tests.kit.ending import clean_up_when_ended
from tests.kit.fab import Run, measured
from tests.kit.project import Project, new_project
from tests.ssh.crowd import start_crowd
from tests.ssh.relay import Relay

PRETENDED = (1, 5, 10, 20, 200)
REAL = (1, 5, 10, 20)
ROUND_TRIP_SECONDS = 0.05
MOST_CPU_SECONDS = 0.05  # of the operator's side, for each further host
MOST_MEMORY_BYTES = 3 << 20  # the same
MOST_TIMES = 1.5  # the time of JUDGED_HOSTS over that of one, without the hosts' own work
JUDGED_HOSTS = 20
PROCESSORS = os.cpu_count() or 1


@dataclass(frozen=True)
class Row:
    """One deploy. `host_cpu_seconds` is the processor time of the hosts' side, if known."""

    hosts: int
    serve_seconds: float
    host_cpu_seconds: float | None
    run: Run

    @property
    def round_trips(self) -> int:
        return max(int(host["round_trips"]) for host in self.run.result["hosts"])

    @property
    def own_seconds(self) -> float | None:
        """Time until all serve, without the hosts' own work on the same processors."""
        if self.host_cpu_seconds is None:
            return None
        return self.serve_seconds - self.host_cpu_seconds / min(PROCESSORS, self.hosts)

    def each(self, one: Row, of: Callable[[Row], float]) -> float:
        """The additional cost of each further host."""
        return (of(self) - of(one)) / max(1, self.hosts - one.hosts)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, judge."""
    clean_up_when_ended()
    parser = argparse.ArgumentParser(prog="bench/fleet", description=__doc__)
    parser.add_argument("--only", choices=("pretended", "real"), help="only hosts of this kind")
    parser.add_argument(
        "--most", type=int, default=max(PRETENDED), help="the highest number of hosts"
    )
    wanted = parser.parse_args(arguments)
    broken: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for kind, measure, counts in (
            ("pretended", _pretended, PRETENDED),
            ("real", _real, REAL),
        ):
            if wanted.only in (None, kind):
                print(f"{kind} hosts", flush=True)
                rows = measure(Path(scratch) / kind, [n for n in counts if n <= wanted.most])
                broken += [f"{kind}: {text}" for text in _judge(rows)]
    print("\n".join([*broken, f"limits broken: {len(broken)}"]))
    return 1 if broken else 0


def _pretended(folder: Path, counts: Sequence[int]) -> list[Row]:
    crowd = start_crowd(folder)
    line = Relay(crowd.server.port, ROUND_TRIP_SECONDS / 2)
    try:
        rows = []
        for number, count in enumerate([counts[0], *counts]):  # the first only warms up
            crowd.hosts(count, line.port)
            before = cpu_of_children(crowd.server.process.pid)
            row = _deploy(crowd.project, count, number, ("switch", "done"))
            took = cpu_of_children(crowd.server.process.pid) - before
            rows.append(replace(row, host_cpu_seconds=took))
            connections = len(crowd.served)
            assert connections == count, f"{connections} connections to {count} hosts"
        return _shown(rows[1:])
    finally:
        line.close()
        crowd.server.stop()


def _real(folder: Path, counts: Sequence[int]) -> list[Row]:
    lab = Lab(folder / "lab", emit=silent)
    os.environ[STATE_VARIABLE] = str(lab.state)
    try:
        names = [host.name for host in lab.up(max(counts))]
        project = new_project(folder / "project")
        project.fab("setup", "-H", ",".join(names), timeout=1800)
        rows = []
        for number, count in enumerate([counts[0], *counts]):
            words = ("-H", ",".join(names[:count]))
            rows.append(_deploy(project, count, number, ("traffic", "done"), *words))
        return _shown(rows[1:])
    finally:
        lab.down()


def _deploy(project: Project, count: int, number: int, serves: tuple[str, str], *words: str) -> Row:
    project.app(f"text {number}")
    began = time.time()
    run = measured(project, "deploy", *words)
    at = [one["at"] for one in run.said if (one.get("step"), one.get("state")) == serves]
    assert len(at) == count, f"{len(at)} of {count} hosts serve: {run.result}"
    return Row(count, max(at) - began, None, run)


def cpu_of_children(pid: int) -> float:
    """Processor time of a process's children for which it has waited (proc(5), cutime)."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[13]) + int(words[14])) / os.sysconf("SC_CLK_TCK")


def _shown(rows: list[Row]) -> list[Row]:
    print("  hosts  all serve  operator's  CPU     each     memory  each     round trips")
    one = rows[0]
    for row in rows:
        cpu, memory = row.run.cpu_seconds, row.run.memory_bytes
        print(
            f"  {row.hosts:5}  {row.serve_seconds:7.2f} s  {_seconds(row.own_seconds)}"
            f"  {cpu:5.2f} s {_cpu(row, one):6.3f} s {memory / 1e6:5.0f} MB"
            f" {_memory(row, one) / 1e6:5.2f} MB"
            f"  {row.round_trips:11}",
            flush=True,
        )
    return rows


def _seconds(value: float | None) -> str:
    return f"{value:8.2f} s" if value is not None else "         -"


def _cpu(row: Row, one: Row) -> float:
    return row.each(one, lambda r: r.run.cpu_seconds)


def _memory(row: Row, one: Row) -> float:
    return row.each(one, lambda r: r.run.memory_bytes)


def _judge(rows: list[Row]) -> list[str]:
    """All figures that exceed their limits."""
    one = rows[0]
    found = []
    for row in rows[1:]:
        if _cpu(row, one) > MOST_CPU_SECONDS:
            found.append(f"{row.hosts} hosts: {_cpu(row, one):.3f} s of CPU for each further host")
        if _memory(row, one) > MOST_MEMORY_BYTES:
            found.append(
                f"{row.hosts} hosts: {_memory(row, one) / 1e6:.1f} MB for each further host"
            )
        if row.round_trips != one.round_trips:
            found.append(
                f"{row.hosts} hosts: {row.round_trips} round trips, {one.round_trips} for one"
            )
        if row.hosts == JUDGED_HOSTS and row.own_seconds and one.own_seconds:
            times = row.own_seconds / one.own_seconds
            print(f"  {row.hosts} hosts take {times:.2f} times as long as one")
            if times > MOST_TIMES:
                found.append(f"{row.hosts} hosts take {times:.2f} times as long as one")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
