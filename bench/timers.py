"""Timers through deploys, rollbacks, a shutdown and a power cut: has each minute one run?

One timer runs each minute; another one, scheduled each minute too, takes 90 s. A change begins
every 50 s, so each falls into another part of the minute. In the middle the host is shut down and
booted as `systemctl reboot` does it, at the end of a minute; later its power is cut while the job
runs. Prints a table; the exit code is 1 if a figure exceeds its limit.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.endurance import Row, lab_host, table
from bench.own_lock import BEGINNING
from cartwheel_lab import LabHost, nspawn
from tests.kit.ending import clean_up_when_ended
from tests.kit.project import SHOP, Project, new_project
from tests.kit.timers import Run, runs
from tests.kit.waiting import until

MINUTES = 20
CHANGES = ("deploy", "deploy", "rollback")
CHANGE_SECONDS = 50.0
MINUTE, LONG = "minute", "long"
JOB_SECONDS = {MINUTE: 3, LONG: 90}
# When a run is on record after its minute has begun, and after a boot.
LATE_SECONDS = 20.0
END_SECONDS = 60.0
# A run that is made up belongs to the boot: systemd has not finished starting before its job ends.
BOOT_SECONDS = 180.0

SETTINGS = SHOP + "".join(
    f"""
[timers.{name}]
command = "python -m work {seconds}"
schedule = "* * * * *"
"""
    for name, seconds in JOB_SECONDS.items()
)
WORK = (
    BEGINNING
    + """
name = os.environ["CARTWHEEL_TIMER"]
begin(name)
time.sleep(float(sys.argv[1]))
note(name, "ends")
"""
)


@dataclass
class Bench:
    """A host with the application, and everything that has been seen of its timers' runs."""

    host: LabHost
    project: Project
    seen: dict[str, dict[int, Run]] = field(
        default_factory=lambda: {name: {} for name in JOB_SECONDS}
    )
    changes: Counter[str] = field(default_factory=Counter)
    cut: float = 0.0  # when the power failed
    listed: str = ""  # what `timer.list` said of that

    def change(self, task: str) -> None:
        self.project.app(f"text {time.monotonic_ns()}")
        self.project.fab(task, "-H", self.host.name)

    def shut_down(self, _task: str) -> None:
        """A reboot: everything is asked to stop, and the host boots. It spans a full minute."""
        await_second(57)
        init = self.host.init
        self.host.exec(["systemctl", "poweroff", "--no-block"])
        until(lambda: not init.alive, END_SECONDS)
        self.power_up()

    def cut_power(self, _task: str) -> None:
        """While the job of this minute is under way."""
        await_second(59)
        before = len(self.notes(MINUTE))
        until(lambda: len(self.notes(MINUTE)) > before, END_SECONDS)
        self.cut = time.time()
        self.power_up()
        self.listed = self.project.fab("timer.list", "-H", self.host.name).text

    def power_up(self) -> None:
        self.host.power_cut()
        self.host.boot()

    def look(self) -> None:
        """The host keeps the last runs only."""
        for name, known in self.seen.items():
            known.update((run.number, run) for run in runs(self.host, name))

    def notes(self, name: str) -> list[str]:
        """What the jobs wrote down: begins, ends, twice."""
        log = self.host.sh(f"cat /srv/shop/shared/{name}.log 2>/dev/null || true")
        return [line.split()[2] for line in log.splitlines()]


def main() -> int:
    clean_up_when_ended()
    nspawn.READY_SECONDS = BOOT_SECONDS
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=int, default=MINUTES)
    minutes = options.parse_args().minutes
    with lab_host() as (host, folder):
        bench = Bench(host, new_project(folder / "project"))
        bench.project.settings(SETTINGS)
        bench.project.write("app/work.py", WORK)
        bench.project.app("first")
        for task in ("setup", "deploy", "deploy"):
            bench.project.fab(task, "-H", host.name)
        found = table_of(bench, go_on(bench, minutes))
    print(table(found))
    return 1 if any(row.is_over for row in found) else 0


def go_on(bench: Bench, minutes: int) -> range:
    """Make the changes; returns the minutes that are judged."""
    began = time.time()
    number = int(minutes * 60 / CHANGE_SECONDS)
    for at in range(number):
        time.sleep(max(0.0, began + at * CHANGE_SECONDS - time.time()))
        task = CHANGES[at % len(CHANGES)]
        act = {number // 3: bench.shut_down, 2 * number // 3: bench.cut_power}.get(at, bench.change)
        since = time.time()
        act(task)
        bench.changes[task if act == bench.change else act.__name__] += 1
        print(
            f"{time.strftime('%T')}: {act.__name__} {task} {time.time() - since:.1f} s", flush=True
        )
        bench.look()
    await_second(int(LATE_SECONDS))
    bench.look()
    return range(int(began // 60 + 1) * 60, int(time.time() // 60) * 60 + 1, 60)


def await_second(second: int) -> None:
    """Of a minute, by the clock of this machine and its hosts."""
    time.sleep((second - time.time()) % 60)


def table_of(bench: Bench, minutes: range) -> list[Row]:
    kept = list(bench.seen[MINUTE].values())
    known = Counter(run.due for run in kept)
    cut = [run for run in kept if run.started <= bench.cut and run.result == "running"]
    notes = {name: bench.notes(name) for name in JOB_SECONDS}
    return [
        *(Row(what, bench.changes[what], least=1) for what in sorted(bench.changes)),
        Row("minutes", len(minutes), least=1),
        Row("minutes without a run", sum(not known[due] for due in minutes), most=0),
        Row("minutes with more than one run", sum(known[due] > 1 for due in minutes), most=0),
        Row("latest start after its minute, s", max(run.started - (run.due or 0) for run in kept)),
        Row("runs begun by the job's own record", notes[MINUTE].count("begins"), len(kept)),
        Row("runs that ended as failed", sum(run.result == "failed" for run in kept), most=0),
        Row("runs cut off by the power cut", len(cut), most=1, least=1),
        Row("cut off and shown as cut", bench.listed.count("cut: nobody noted its end"), least=1),
        *(of_overlaps(name, found) for name, found in notes.items()),
        Row("runs of 90 s that ended", notes[LONG].count("ends"), least=1),
    ]


def of_overlaps(name: str, notes: Sequence[str]) -> Row:
    """A beginning after a beginning is the next boot's: the power cut, or the end of the host."""
    found = notes.count("twice")
    unended = sum(pair == ("begins", "begins") for pair in itertools.pairwise(notes))
    return Row(f"{name}: two at once", found, most=0, note=f"{unended} without an end of its own")


if __name__ == "__main__":
    sys.exit(main())
