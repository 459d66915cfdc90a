"""The monitor's program: `watch`, and what `fab monitor.*` asks it. Answers are JSON."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import sys
import time
from typing import Callable, Dict, Iterator, List, Optional

from cartwheel_monitor import (
    key,
    language,
    messages,
    messengers,
    past,
    records,
    silences,
    watch_list,
)
from cartwheel_monitor.language import _
from cartwheel_monitor.messages import Message
from cartwheel_monitor.piped import Piped
from cartwheel_monitor.places import Places
from cartwheel_monitor.quiet import Silence
from cartwheel_monitor.records import Json
from cartwheel_monitor.sessions import LookError, Sessions
from cartwheel_monitor.store import DATABASE
from cartwheel_monitor.watch_list import WatchList
from cartwheel_monitor.watcher import LOOK_MORE_SECONDS, SecondWatcherError, Watcher

_LATE_SECONDS = 60.0
_FORGET_SECONDS = 15.0
_POLL_SECONDS = 0.2


class ProblemError(Exception):
    """What was asked cannot be done; the text says why."""


def main() -> int:
    """Run one command; its exit status."""
    asked = _parsed()
    places = Places.here()
    commands: Dict[str, Callable[[], Dict[str, Json]]] = {
        "key": lambda: {"key": key.public_line(places.key)},
        "projects": lambda: {"projects": [one.project for one in _lists(places)]},
        "forget": lambda: _forgotten(places, asked.project),
        "try": lambda: _tried(places, asked.project),
        "test": lambda: _tested(places, asked.project),
        "status": lambda: _status(places),
        "silence": lambda: _silenced(places, asked),
        "incidents": lambda: _incidents(places, asked.project, asked.show, asked.last),
    }
    try:
        if asked.command == "watch":
            return _watch(places, by_pipe=asked.by_pipe)
        sys.stdout.write(json.dumps(commands[asked.command](), indent=1) + "\n")
        return 0
    except (ProblemError, SecondWatcherError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cartwheel_monitor")
    parser.add_argument(
        "command",
        choices=(
            *("watch", "key", "projects", "forget", "try", "test", "status", "silence"),
            "incidents",
        ),
    )
    parser.add_argument("--by-pipe", action="store_true", help="looks are taken by our parent")
    parser.add_argument("--project", default="")
    parser.add_argument("--for", dest="seconds", type=float, default=0.0)
    parser.add_argument("--who", default="")
    parser.add_argument("--why", default="")
    parser.add_argument("--app", default="")
    parser.add_argument("--show", type=int, default=None)
    parser.add_argument("--last", type=int, default=20)
    return parser.parse_args()


def _watch(places: Places, *, by_pipe: bool) -> int:
    piped = Piped(sys.stdout, sys.stdin) if by_pipe else None
    watcher = Watcher(places, piped)
    if piped is not None:
        piped.start(watcher.stop)
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: watcher.stop())
    watcher.run()
    return 0


def _lists(places: Places) -> List[WatchList]:
    return watch_list.read(places.lists)[0]


def _list(places: Places, project: str) -> WatchList:
    for one in _lists(places):
        if one.project == project:
            return one
    raise ProblemError(f"{project} is not watched here")


def _forgotten(places: Places, project: str) -> Dict[str, Json]:
    """Delete all that is known of a project that is not watched any more."""
    folder = places.project(project)
    if folder.name != project or any(one.project == project for one in _lists(places)):
        raise ProblemError(f"{project} is still watched here")
    end = time.monotonic() + _FORGET_SECONDS
    while _is_known(places, project) and time.monotonic() < end:  # the watcher writes there
        time.sleep(_POLL_SECONDS)
    is_there = folder.is_dir()
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ProblemError(f"{folder} cannot be removed: {error.strerror}") from None
    return {"forgotten": is_there}


def _is_known(places: Places, project: str) -> bool:
    """Whether a watcher that runs still has the project."""
    try:
        found = json.loads(places.status.read_text(encoding="utf-8"))
        is_late = time.time() - places.status.stat().st_mtime > _LATE_SECONDS
    except (OSError, ValueError):
        return False
    hosts = found.get("hosts") if isinstance(found, dict) else None
    return not is_late and isinstance(hosts, dict) and project in hosts


def _tried(places: Places, project: str) -> Dict[str, Json]:
    """Each host of the project: "" if the monitor can look into it, else why not."""
    listed, sessions = _list(places, project), Sessions(places.key)
    found: Dict[str, Json] = {}
    for host in listed.hosts:
        try:
            sessions.look(host, "", listed.timeout + LOOK_MORE_SECONDS)
            found[host.name] = ""
        except LookError as error:
            found[host.name] = str(error)
    sessions.close()
    return found


def _tested(places: Places, project: str) -> Dict[str, Json]:
    """Send each messenger of the project a test; its problem, or ""."""
    listed = _list(places, project)
    language.use(listed.language)
    title = _("{project}: a test of the monitor").format(project=project)
    text = Message(title, _("It can reach you."), "info", at=time.time())
    return {name: messengers.send(one.reveal(), text) for name, one in listed.messengers.items()}


def _status(places: Places) -> Dict[str, Json]:
    try:
        found: Dict[str, Json] = json.loads(places.status.read_text(encoding="utf-8"))
        age = time.time() - places.status.stat().st_mtime
    except (OSError, ValueError):
        raise ProblemError("the watcher has not said anything yet") from None
    problems = found.get("problems")
    if age > _LATE_SECONDS and isinstance(problems, list):
        problems.insert(0, f"the watcher has said nothing for {messages.span(age)}")
    return found


def _silenced(places: Places, asked: argparse.Namespace) -> Dict[str, Json]:
    until = time.time() + asked.seconds if asked.seconds > 0 else 0.0
    silences.ask(places.silences, Silence(until, asked.why, asked.who, asked.app))
    return {"until": until or None}


def _incidents(places: Places, project: str, show: Optional[int], last: int) -> Dict[str, Json]:
    store = places.project(project) / DATABASE
    language.use(next((one.language for one in _lists(places) if one.project == project), ""))
    try:
        if show is None:
            rows = past.incidents(store, last)
            return {"incidents": [one for text in rows for one in _row(json.loads(text))]}
        shown = past.incident(store, show)
        for one in _row(json.loads(shown)) if shown is not None else ():
            told: List[Json] = [{**each} for each in past.telling(store, show)]
            return {**one, "telling": told}
    except (sqlite3.Error, OSError) as error:
        raise ProblemError(f"the incidents of {project} cannot be read: {error}") from None
    raise ProblemError(f"there is no incident {show}")


def _row(found: Json) -> Iterator[Dict[str, Json]]:
    one = records.incident(found)
    if one is None:  # of a later version
        return
    members: List[Json] = [
        {
            "what": " ".join(
                filter(None, (each.subject.kind, each.subject.host, each.subject.about))
            ),
            "began": each.began,
            "problem": each.problem,
        }
        for each in one.every
    ]
    yield {
        "number": one.number,
        "title": messages.title(one),
        "kind": one.kind,
        "app": one.app,
        "hosts": [*sorted(one.places)],
        "began": one.began,
        "ended": one.ended,
        "release": one.release,
        "told": one.told is not None,
        "members": members,
    }


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
