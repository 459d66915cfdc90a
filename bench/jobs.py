"""Jobs through deploys and rollbacks: is one lost, done twice or cut off, or does one wait longer?

`examples/shop` (Celery) and `examples/board` (RQ) run on a host of their own, with four slots for
jobs. 1,000 jobs are put in by HTTP: 900 of 0.1 s, 90 of 1 s and 10 of 8 s, first without deploys,
then while 10 deploys and 5 rollbacks run. Each has an exclusive process too (bench/alone.py).
Prints a table for each; the exit code is 1 if a figure exceeds its limit.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import alone
from bench.endurance import Row, lab_host, table
from tests.kit.ending import clean_up_when_ended
from tests.kit.jobs import BOARD, SHOP, Queue, Step, copied

SLOTS = 4
# Of each 1,000 jobs, how many take how long.
MIXTURE = {0.1: 900, 1.0: 90, 8.0: 10}
# Two deploys, then a rollback.
CHANGES = ("deploy", "deploy", "rollback")
ROUNDS = 5
SECONDS = 120.0  # all jobs are put in within this time, or for as long as the changes take
LONGER_SECONDS = 2.0
END_SECONDS = 90.0
SEED = 14
EXAMPLES = {"celery": SHOP, "rq": BOARD}
SETTINGS = "[tests]\nskip = true\n"


@dataclass(frozen=True)
class Job:
    """What happened to one job; `put`, `begun` and `done` are times of the host."""

    seconds: float
    steps: Sequence[Step]
    last: str

    def times(self, what: str) -> list[float]:
        return [step.at for step in self.steps if step.what == what]

    @property
    def begun(self) -> list[float]:
        return self.times("begun")

    @property
    def done(self) -> list[float]:
        return self.times(self.last)


@dataclass(frozen=True)
class Run:
    """All jobs of a run, and the requests that put them in and failed."""

    jobs: Sequence[Job]
    failed: Sequence[str]

    @property
    def waits(self) -> list[float]:
        """How long each job waited while a slot was free, sorted."""
        free = free_time([(one.begun[0], max(one.done)) for one in self.jobs if one.done])
        waits = [free(one.begun[0]) - free(one.steps[0].at) for one in self.jobs if one.begun]
        return sorted(waits)


def main() -> int:
    clean_up_when_ended()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", choices=EXAMPLES, help="one of them")
    options.add_argument("--rounds", type=int, default=ROUNDS, help="two deploys and a rollback")
    options.add_argument("--jobs", type=int, default=1000, help="put in during each run")
    options.add_argument("--seconds", type=float, default=SECONDS, help="in which they are put in")
    asked = options.parse_args()
    rows: list[Row] = []
    for name, example in EXAMPLES.items():
        if asked.only not in (None, name):
            continue
        with lab_host() as (host, folder):
            queue = copied(example, host, folder / example.name, SETTINGS)
            with (queue.project.folder / "cartwheel.toml").open("a") as file:
                file.write(alone.add_to(queue.project, example.name))
            found = measured(queue, asked.jobs, asked.seconds, asked.rounds)
            print(f"\n{name}\n\n{table(found)}\n", flush=True)
            rows += found
    return 1 if any(row.is_over for row in rows) else 0


def measured(queue: Queue, count: int, seconds: float, rounds: int) -> list[Row]:
    """Both runs on a fresh host; the rows of the table."""
    queue.project.fab("setup", "-H", queue.host.name)
    for number in range(2):
        queue.release(number)
        began = time.monotonic()
        queue.project.fab("deploy", "-H", queue.host.name)
    whole = max(seconds, (time.monotonic() - began) * len(CHANGES) * rounds)
    by_hand = alone.restart(queue.host, queue.example.name)
    before = run(queue, count, seconds, lambda: None)
    taken: list[tuple[str, float]] = []
    after = run(queue, count, whole, lambda: change(queue, whole, rounds, taken))
    switched = alone.notes(queue.host, queue.example.name)[len(by_hand) - 1 :]
    return [
        *of_changes(taken, rounds),
        *of_jobs(before, after, count),
        *alone.rows(by_hand, switched),
    ]


# --- one run


def run(queue: Queue, count: int, seconds: float, meanwhile: Callable[[], None]) -> Run:
    """Put in all jobs, and do something meanwhile; returns once all jobs have ended."""
    wanted = durations(count)
    put: dict[int, float] = {}
    failed: list[str] = []
    putting = threading.Thread(target=put_in, args=(queue, wanted, seconds, put, failed))
    putting.start()
    try:
        meanwhile()
    finally:
        putting.join()
    await_quiet(queue, list(put))
    jobs = [Job(put[job], queue.steps(job), queue.example.done) for job in put]
    return Run(jobs, failed)


def durations(count: int) -> list[float]:
    of_all = sum(MIXTURE.values())
    wanted = [one for one, share in MIXTURE.items() for _ in range(share * count // of_all)]
    random.Random(SEED).shuffle(wanted)
    return wanted


def put_in(
    queue: Queue, wanted: Sequence[float], seconds: float, put: dict[int, float], failed: list[str]
) -> None:
    """Evenly over the time."""
    began = time.monotonic()
    for number, duration in enumerate(wanted):
        time.sleep(max(0.0, began + seconds * number / len(wanted) - time.monotonic()))
        try:
            put[queue.put(duration)] = duration
        except OSError as error:
            failed.append(f"{duration:g} s: {error}")


def change(queue: Queue, seconds: float, rounds: int, taken: list[tuple[str, float]]) -> None:
    """Deploy and roll back, begun evenly over the time, or one after the other if it is short."""
    tasks = CHANGES * rounds
    began = time.monotonic()
    for number, task in enumerate(tasks):
        time.sleep(max(0.0, began + seconds * number / len(tasks) - time.monotonic()))
        queue.release(100 + number)
        since = time.monotonic()
        queue.project.fab(task, "-H", queue.host.name)
        taken.append((task, time.monotonic() - since))
        print(f"{number + 1}: {task} {taken[-1][1]:.1f} s", flush=True)


def await_quiet(queue: Queue, jobs: Sequence[int]) -> None:
    """Wait until all jobs are done; give up at those that seem lost."""
    end = time.monotonic() + END_SECONDS
    left = list(jobs)
    while left and time.monotonic() < end:
        left = [job for job in left if not queue.is_done(job)]
        time.sleep(0.5)


def free_time(running: Sequence[tuple[float, float]]) -> Callable[[float], float]:
    """How long a slot was free, from the beginning until a given time."""
    changes = sorted([(begun, 1) for begun, _ in running] + [(done, -1) for _, done in running])

    def until(at: float) -> float:
        total, busy, last = 0.0, 0, changes[0][0]
        for when, more in changes:
            if when >= at:
                break
            total += (when - last) * (busy < SLOTS)
            busy, last = busy + more, when
        return total + (at - last) * (busy < SLOTS)

    return until


# --- the table


def of_changes(taken: Sequence[tuple[str, float]], rounds: int) -> list[Row]:
    counts = Counter(task for task, _ in taken)
    longest = max(seconds for _, seconds in taken)
    return [
        Row(f"{task}s", counts[task], least=CHANGES.count(task) * rounds)
        for task in ("deploy", "rollback")
    ] + [Row("longest of them, s", longest)]


def of_jobs(before: Run, after: Run, count: int) -> list[Row]:
    return [
        counted("jobs put in", before, after, lambda _job: True, least=len(durations(count))),
        Row("requests that failed", len(after.failed), 0, note="; ".join(after.failed[:3])),
        counted("jobs lost", before, after, lambda job: not job.begun, most=0),
        counted("jobs begun twice", before, after, lambda job: len(job.begun) > 1, most=0),
        counted("jobs cut off", before, after, lambda job: len(job.begun) > len(job.done), most=0),
        *(
            waited(f"wait while a slot was free, s: {what}", share, before, after, most)
            for what, share, most in (("median", 0.5, None), ("longest", 1.0, LONGER_SECONDS))
        ),
    ]


def counted(
    what: str,
    before: Run,
    after: Run,
    counts: Callable[[Job], bool],
    *,
    most: float | None = None,
    least: float | None = None,
) -> Row:
    was, now = (sum(map(counts, one.jobs)) for one in (before, after))
    return Row(what, now, most, least, was)


def waited(what: str, share: float, before: Run, after: Run, longer: float | None) -> Row:
    was, now = (one.waits[round(share * (len(one.waits) - 1))] for one in (before, after))
    return Row(what, now, None if longer is None else was + longer, before=was)


if __name__ == "__main__":
    sys.exit(main())
