"""What a host keeps of a timer: its last runs, what they printed, whether it is paused.

Each run has a file of its own, so the dispatcher and the recorder never overwrite each other. The
file is durable before the job starts, so no due time runs twice, whatever is killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Dict, List, Optional

from cartwheel.host.layout import RUNNING_OUTPUT, Layout
from cartwheel.host.schedule import cron, due, zones
from cartwheel.host.state import assignment, releases, watchers
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.holding import Record
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.timer import Run, Timer

KEPT_RUNS = 20
KEPT_BYTES = 64 << 10
_DIGEST_CHARACTERS = 12
_CLOCKS_APART_SECONDS = 60.0  # of two hosts of a fleet


def here(at: Layout) -> Dict[str, Timer]:
    """The timers of the live release that are on this host."""
    every = known(at)
    return {name: every[name] for name in assignment.read(at).timers if name in every}


def known(at: Layout) -> Dict[str, Timer]:
    """The timers of the live release, also those that are on other hosts."""
    release = releases.pointed(at.current)
    return releases.manifest(at, release).timers if release else {}


def make_folders(at: Layout, name: str) -> None:
    """Make the places of the timer; the outputs are for those who may read logs."""
    for folder in (at.timers, at.timers / name):
        if files.directory(folder, 0o750):
            watchers.let_list(folder)
    at.logs.mkdir(0o750, parents=True, exist_ok=True)  # somebody removed it
    group = at.logs.stat().st_gid
    for folder in (at.outputs, at.outputs / name):
        files.directory(folder, 0o750, 0, group)


# -- runs


def runs(at: Layout, name: str) -> List[Run]:
    """The runs that are kept, oldest first. One that is damaged is left out."""
    found = []
    for number in _numbers(at, name):
        with contextlib.suppress(OpError):
            run = files.read_record(Run, _path(at, name, number))
            if run is not None:
                found.append(run)
    return found


def _numbers(at: Layout, name: str) -> List[int]:
    stems = (Path(one) for one in files.names(at.timers / name))
    return sorted(int(one.stem) for one in stems if one.suffix == ".json" and one.stem.isdigit())


def _path(at: Layout, name: str, number: int) -> Path:
    return at.timers / name / f"{number}.json"


def write(at: Layout, name: str, run: Run) -> None:
    files.write_json(_path(at, name, run.number), to_json(run), 0o640)


def next_number(at: Layout, name: str) -> int:
    return max(_numbers(at, name), default=0) + 1


def prune(at: Layout, name: str) -> None:
    """Keep the last runs only."""
    for number in _numbers(at, name)[:-KEPT_RUNS]:
        files.remove(output(at, name, number))
        files.remove(_path(at, name, number))


# -- runs that somebody asks for


def _asked(at: Layout, name: str) -> Path:
    return at.timers / name / "asked.json"


def ask(at: Layout, name: str, question: Run) -> None:
    """Let the dispatcher make a run that is not due."""
    make_folders(at, name)
    files.write_json(_asked(at, name), to_json(question), 0o640)


def asked(at: Layout, name: str) -> Optional[Run]:
    """The question, unless it was answered already."""
    with contextlib.suppress(OpError):
        question = files.read_record(Run, _asked(at, name))
        if question is not None and all(one.asked != question.asked for one in runs(at, name)):
            return question
    return None


def forget_asked(at: Layout, name: str) -> bool:
    return files.remove(_asked(at, name))


# -- what they print


def output(at: Layout, name: str, number: int) -> Path:
    return at.outputs / name / f"{number}.log"


def running_output(at: Layout, name: str) -> Path:
    """Where the job that is under way prints."""
    return at.outputs / name / RUNNING_OUTPUT


def begin_output(at: Layout, name: str) -> None:
    """Empty the place where the next job prints."""
    owner = (0, at.logs.stat().st_gid)
    files.write(running_output(at, name), b"", 0o640, owner)


def keep_output(at: Layout, name: str, number: int) -> None:
    """Keep the end of what the job printed. Without room for it there is none."""
    with contextlib.suppress(OSError, OpError):
        owner = (0, at.logs.stat().st_gid)
        text = tail(running_output(at, name), KEPT_BYTES)
        files.write(output(at, name, number), text, 0o640, owner)
        files.remove(running_output(at, name))


def tail(path: Path, most: int) -> bytes:
    """The end of a file: whole lines, unless one alone is longer."""
    with open(str(path), "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        text = file.read(most)
    return text.partition(b"\n")[2] or text if size > most else text


# -- pauses, and times that do not count


def _paused(at: Layout, name: str) -> Path:
    return at.timers / name / "paused.json"


def paused(at: Layout, name: str) -> Optional[Stopped]:
    """The mark of `fab timer.pause`; it outlives reboots and deploys. A damaged one counts."""
    try:
        return files.read_record(Stopped, _paused(at, name))
    except OpError:
        return Stopped()


def pause(at: Layout, name: str, mark: Stopped) -> bool:
    make_folders(at, name)
    return files.write_json(_paused(at, name), to_json(mark))


def resume(at: Layout, name: str) -> bool:
    return files.remove(_paused(at, name))


def _since(at: Layout, name: str, timer: Timer) -> Path:
    digest = hashlib.sha256(timer.key.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return at.timers / name / f"since.{digest}.json"


def count_from_now(at: Layout, name: str, timer: Timer) -> None:
    """Times of this schedule until now are nobody's."""
    _count_from(at, name, timer, time.time())


def _count_from(at: Layout, name: str, timer: Timer, since: float) -> None:
    make_folders(at, name)
    files.write_json(_since(at, name, timer), {"since": since})


def owed(at: Layout, name: str, timer: Timer, now: float) -> Optional[float]:
    """The last time that was due and has not been run for; None if there is none."""
    schedule, zone = cron.parse(timer.schedule), zones.zone(timer.zone)
    last = due.preceding(schedule, zone, datetime.fromtimestamp(now, due.UTC))
    if last is None or last.timestamp() <= counted_since(at, name, timer, now):
        return None
    is_known = any(run.due == last.timestamp() for run in runs(at, name))
    return None if is_known else last.timestamp()


def counted_since(at: Layout, name: str, timer: Timer, now: float) -> float:
    """Since when times count. Without a mark, or with one of a clock that was wrong, from now."""
    since = _marked_since(at, name, timer)
    if since is not None and since <= now + _CLOCKS_APART_SECONDS:
        return since
    count_from_now(at, name, timer)
    return now


def _marked_since(at: Layout, name: str, timer: Timer) -> Optional[float]:
    with contextlib.suppress(OpError):
        since = (files.read_json(_since(at, name, timer)) or {}).get("since")
        return since if isinstance(since, float) else None
    return None


# -- from one host to another


def record(at: Layout, name: str) -> Record:
    """What the host that has the timer next must know."""
    timer = known(at).get(name)
    times = [_marked_since(at, name, timer) if timer else None]
    times += [run.due for run in runs(at, name)]
    since = max((one for one in times if one is not None), default=None)
    return Record(since, paused(at, name))


def go_on(at: Layout, name: str, ended: Record) -> None:
    """Go on where another host ended."""
    since = time.time() if ended.since is None else ended.since
    _count_from(at, name, known(at)[name], since)
    if ended.paused is None:
        resume(at, name)
    else:
        pause(at, name, ended.paused)


def following(timer: Timer, now: float) -> Optional[float]:
    """The next time at which it is due; None if this host does not know its zone."""
    try:
        schedule, zone = cron.parse(timer.schedule), zones.zone(timer.zone)
    except ValueError:
        return None
    found = due.following(schedule, zone, datetime.fromtimestamp(now, due.UTC))
    return found.timestamp() if found else None
