"""Timers for tests, in an application with tests/kit/processes.py, and what went wrong with them.

`minute` runs each minute. `rare` has another schedule in each release, so that every switch moves
it. Both are looked at without Cartwheel.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from dataclasses import dataclass

from cartwheel_lab import LabHost
from tests.kit import processes
from tests.kit.waiting import until

MINUTE = "minute"
RARE = "rare"
# Until a run is on record, on a busy machine and after a boot.
LATE_SECONDS = 50.0
DISPATCHED_SECONDS = 90.0


@dataclass(frozen=True)
class Run:
    """A run on record. `due`: None if somebody asked for it."""

    number: int
    started: float
    due: float | None
    asked: str
    release: str
    result: str


def settings(mark: str) -> str:
    minute, hour = rare_time(mark)
    command = f'command = "python -m {processes.MODULE} once"'
    return f"""
[timers.{MINUTE}]
{command}
schedule = "* * * * *"
env = {{ JOB_SECONDS = "0.5" }}
[timers.{RARE}]
{command}
schedule = "{minute} {hour} 1 1 *"
"""


def rare_time(mark: str) -> tuple[int, int]:
    """Minute and hour in the release with this mark."""
    number = int(mark.rpartition("-")[2]) // 1_000_000
    return number % 60, number // 60 % 24


def schedules(mark: str) -> dict[str, str]:
    """How systemd writes the schedules of the release with this mark."""
    minute, hour = rare_time(mark)
    return {MINUTE: "*-*-* *:*:00", RARE: f"*-01-01 {hour:02}:{minute:02}:00"}


def runs(host: LabHost, name: str = MINUTE) -> list[Run]:
    """The runs that the host keeps, oldest first."""
    text = host.sh(f"cat /srv/shop/timers/{name}/[0-9]*.json 2>/dev/null | tr -d '\\n' || true")
    found = [json.loads(part) for part in text.replace("}{", "}\n{").splitlines()]
    return sorted(
        (Run(**{key: one[key] for key in Run.__annotations__}) for one in found),
        key=lambda run: run.number,
    )


def wrong(host: LabHost, mark: str) -> list[str]:
    """Timers that are not as the release with this mark says; without one none should be there."""
    units = host.sh(
        "cd /etc/systemd/system; ls | grep '^cartwheel-shop_timer' || true;"
        " systemctl list-units --all --plain --no-legend 'cartwheel-shop_timer.*.timer'"
        ' | awk \'{print "loaded " $1 " " $3}\''
    ).splitlines()
    expected = [
        f"cartwheel-shop_timer.{name}.{kind}"
        for name in (MINUTE, RARE)
        for kind in ("service", "timer")
    ]
    expected += [f"loaded cartwheel-shop_timer.{name}.timer active" for name in (MINUTE, RARE)]
    if sorted(units) != sorted(expected if mark else []):
        return [f"timers: {units}"]
    return [
        f"timer {name} is {calendar(host, name)} instead of {schedule}"
        for name, schedule in (schedules(mark) if mark else {}).items()
        if calendar(host, name) != schedule
    ]


def calendar(host: LabHost, name: str) -> str:
    """The schedule by which systemd starts it."""
    unit = f"cartwheel-shop_timer.{name}.timer"
    shown = host.sh(f"systemctl show --property=TimersCalendar {unit}")
    return shown.partition("OnCalendar=")[2].partition(" ;")[0]


def dispatched(host: LabHost, name: str) -> Run:
    """Ask for a run as `fab timer.run` does; the run, once it has ended."""
    question = uuid.uuid4().hex
    asked = json.dumps({"number": 0, "started": time.time(), "asked": question})
    folder, service = f"/srv/shop/timers/{name}", f"cartwheel-shop_timer.{name}.service"

    def answered() -> list[Run]:
        host.sh(f"test ! -e {folder}/asked.json || systemctl start {service}")
        found = runs(host, name)
        return [run for run in found if run.asked == question and run.result != "running"]

    host.sh(f"printf %s '{asked}' >{folder}/.asked && mv {folder}/.asked {folder}/asked.json")
    until(lambda: bool(answered()), DISPATCHED_SECONDS, shown=lambda: runs(host, name)[-3:])
    return answered()[0]


def missed_or_twice(host: LabHost, since: float, *, none_missed: bool = True) -> list[str]:
    """Minutes from `since` until now without a run, and those with more than one. Waits for runs
    that are late. All that a host misses while it is down is made up by one run, its last."""
    counted = host.sh(f"cat /srv/shop/timers/{MINUTE}/since.*.json 2>/dev/null || true")
    if not counted:
        return []
    begin, end = max(since, json.loads(counted)["since"]), time.time()
    minutes = range(int(begin // 60) * 60 + 60, int(end), 60) if none_missed else range(0)
    while True:
        known = Counter(run.due for run in runs(host) if run.due is not None)
        missed = [minute for minute in minutes if not known[minute]]
        if not missed or time.time() > end + LATE_SECONDS:
            break
        time.sleep(1.0)
    missed = [minute for minute in missed if not _made_up_later(host, minute)] if missed else []
    twice = [f"{count} runs for {due}" for due, count in known.items() if count > 1]
    return [*twice, *(f"no run for {minute}" for minute in missed)]


def _made_up_later(host: LabHost, minute: int) -> bool:
    """Whether the host was down at this minute, and at the next one too, or not yet booted."""
    began, up = host.sh(
        "stat --format=%Y /proc/1; systemctl show --property=ActiveEnterTimestampMonotonic --value"
        " timers.target"
    ).split()
    ready = time.time() - time.monotonic() + int(up) / 1_000_000
    return int(began) > minute and ready > minute + 60
