"""The timers of an app that are on this host, from what the host keeps of their runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping

from cartwheel.host.watch import units

# So long after a time that is due its job may begin: systemd's accuracy, and a busy host.
LATE_SECONDS = 90.0
# Between the listing of the units and that of the runs a job may begin.
_APART_SECONDS = 5.0
_RUNS = 3  # the last ones, which may have been under way when another one was due
_MOST_BYTES = 64 << 10
_DETAIL_CHARACTERS = 300
LOST = "nobody noted its end: the host lost its power, or the job was killed with its dispatcher"
_SINCE = re.compile(r"since\.[0-9a-f]+\.json")

Table = dict[str, object]


class Moment:
    """When the look is made, when the host was booted, the state of systemd's units by then, and
    what else it says of those that were asked for."""

    def __init__(
        self,
        now: float,
        booted: float,
        states: Mapping[str, str],
        shown: Mapping[str, units.Properties],
    ) -> None:
        self.now = now
        self.booted = booted
        self.states = states
        self.shown = shown


def look(root: str, app: str, name: str, declared: Table, at: Moment) -> Table:
    """The fields of `wire.look.TimerLook`. Raises OSError where the runs cannot be read."""
    folder = f"{root}/timers/{name}"
    known = os.listdir(folder)
    runs = list(_runs(folder, known))
    last = runs[0] if runs else {}
    is_active = _is_under_way(app, name, at.states)
    result, detail = str(last.get("result", "running")) if last else "", last.get("detail")
    began = number(last.get("started"))
    if result == "running" and not is_active and at.now - (began or 0.0) > _APART_SECONDS:
        result, detail = "cut", LOST
    is_paused = "paused.json" in known
    due = None
    if not is_paused and not is_active and not _is_on_time(app, name, runs, at):
        due = _owed(folder, known, declared, runs, at)
    return {
        "name": name,
        "result": result,
        "detail": str(detail or "")[:_DETAIL_CHARACTERS],
        "number": int(number(last.get("number")) or 0),
        "began": began,
        "due": due,
        "paused": is_paused,
    }


def _is_under_way(app: str, name: str, states: Mapping[str, str]) -> bool:
    dispatcher, job = f"cartwheel-{app}_timer.{name}.service", f"cartwheel-{app}_job.{name}."
    return any(
        units.is_up(state)
        for unit, state in states.items()
        if unit == dispatcher or unit.startswith(job)
    )


def unit(app: str, name: str) -> str:
    """systemd's timer."""
    return f"cartwheel-{app}_timer.{name}.timer"


def _is_on_time(app: str, name: str, runs: list[Table], at: Moment) -> bool:
    """Whether it is clear without the schedule, which takes long to understand, that nothing is
    late: systemd's timer waits for a time to come, and there was a run when it last was due."""
    known = at.shown.get(unit(app, name), {})
    last = units.time_of(known.get("LastTriggerUSec", ""))
    following = units.time_of(known.get("NextElapseUSecRealtime", ""))
    is_waiting = known.get("ActiveState") == "active" and following is not None
    if not is_waiting or following is None or following < at.now - LATE_SECONDS:
        return False
    began = max((number(one.get("started")) or 0.0 for one in runs), default=0.0)
    return last is not None and (began >= last - _APART_SECONDS or last > at.now - LATE_SECONDS)


def _runs(folder: str, known: list[str]) -> Iterator[Table]:
    """The last runs, newest first."""
    numbers = sorted((int(one[:-5]) for one in known if re.fullmatch(r"\d{1,9}\.json", one)))
    for one in reversed(numbers[-_RUNS:]):
        run = table(f"{folder}/{one}.json")
        if run:
            yield run


def _owed(
    folder: str, known: list[str], declared: Table, runs: list[Table], at: Moment
) -> float | None:
    """The last time that was due, if no run was made for it and none was in its way."""
    from datetime import datetime, timezone

    from cartwheel.host.schedule import cron, due, zones  # late: only where there are timers

    since = [table(f"{folder}/{one}").get("since") for one in known if _SINCE.fullmatch(one)]
    counted_since = max((number(one) or 0.0 for one in since), default=0.0)
    if not counted_since:
        return None
    try:
        schedule = cron.parse(str(declared.get("schedule", "")))
        zone = zones.zone(str(declared.get("zone", "")))
    except ValueError:
        return None
    latest = datetime.fromtimestamp(at.now - LATE_SECONDS, timezone.utc)
    found = due.preceding(schedule, zone, latest)
    if found is None:
        return None
    time = found.timestamp()
    is_missed = declared.get("catch_up", True) is False and time < at.booted
    if time <= counted_since or is_missed or any(_answers(run, time) for run in runs):
        return None
    return time


def _answers(run: Table, due: float) -> bool:
    """Whether the run was made for this time or a later one, or was under way at that time."""
    began, ended = number(run.get("started")) or 0.0, number(run.get("ended"))
    return (number(run.get("due")) or 0.0) >= due or (ended is None or ended >= due) or began >= due


def number(value: object) -> float | None:
    is_one = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_one and isinstance(value, (int, float)) else None


def table(path: str) -> Table:
    """The JSON object in a file; an empty one where it is damaged, or gone meanwhile."""
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
