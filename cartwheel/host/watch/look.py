"""The program of a monitor's key: answer one question about this host, and do nothing else.

sshd starts it for that key, whatever was asked for, and puts that into SSH_ORIGINAL_COMMAND: a word
of the table here, or it is refused. Nothing of it is passed on to a shell or a program.

Everything that may hang (a file system, systemd, a site) is read by a child. What it has found is
answered in time, whatever happens to the child.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator

from cartwheel.host.watch import apps, cursor, host, units
from cartwheel.host.watch.timers import Moment, Table

PROTOCOL = 1  # as in wire/look.py
MOST_BYTES = 256 << 10
SECONDS = 7.0  # of the child
_LIMIT_SECONDS = 8  # of everything
_WORDS = ("hello", "state", "since CURSOR")
_ASKED = re.compile(r"(hello|state)|since ([!-~]{1,4096})")
_USAGE = "cartwheel: a monitor may ask: " + ", ".join(_WORDS) + "\n"
_FEW_ENTRIES = 5
_PIECE_BYTES = 1 << 16

Find = Callable[[], Iterator[tuple[str, object]]]


def main(version: str) -> int:
    signal.alarm(_LIMIT_SECONDS)  # ends it, also where nobody reads the answer
    asked = _ASKED.fullmatch(os.environ.get("SSH_ORIGINAL_COMMAND", ""))
    since = asked[2] if asked else None
    if asked is None or (since is not None and not cursor.is_one(since)):
        sys.stderr.write(_USAGE)
        return 2
    answer: Table = {"protocol": PROTOCOL, "version": version, "time": round(time.time(), 3)}
    if asked[1] != "hello":
        answer.update(_put_together(dict(found_in_time(lambda: find(since), SECONDS))))
    sys.stdout.write(fitting(answer))
    sys.stdout.flush()
    return 0


# -- the child


def find(since: str | None) -> Iterator[tuple[str, object]]:
    """The parts of the answer, each as soon as it is known: `host`, `names`, `disk N`, `app NAME`,
    `place NAME`, `front NAME`; and with why: `broken NAME` of an app, `unread NAME`."""
    yield "host", host.look()
    names = apps.names()
    yield "names", names
    before, places = cursor.read(since) if since else (0.0, {})
    every: list[apps.App] = []
    wanted: list[str] = []
    for name in names:
        try:
            app = apps.App(name)
            wanted += app.all_units()
            every.append(app)
        except Exception as error:
            yield f"broken {name}", _why(error)
    fronts = [_Asking(one) for one in every]
    states, shown = yield from _units(wanted)
    at, held = Moment(time.time(), host.booted(), states, shown), units.locks()
    for one in every:
        try:
            found = list(_of_app(one, places.get(one.app), before, at, held))
        except Exception as error:
            found = [(f"broken {one.app}", _why(error))]
        yield from found
    for asking in fronts:
        yield f"front {asking.app}", asking.answer()
    roots = [place for one in every for place in (one.root, one.root + "/shared")]
    for number, disk in enumerate(host.disks([*host.PLACES, *roots])):
        yield f"disk {number}", disk


def _of_app(
    one: apps.App,
    place: cursor.Place | None,
    before: float,
    at: Moment,
    held: set[tuple[int, int, int]],
) -> Iterator[tuple[str, object]]:
    entries, seq = one.entries(place[0] if place else None)
    requests, (_seq, inode, offset) = one.requests(place, at.now - before)
    yield f"place {one.app}", [seq, inode, offset]
    told = {
        "app": one.app,
        "release": one.release,
        "version": str(one.manifest.get("version", "")),
        "since": one.since,
        "locked": one.is_locked(held, at.states),
        "locked_since": one.locked_since(held),
        **one.marks(),
        "processes": one.processes(at.shown),
        "timers": one.timer_looks(at),
        "entries": entries,
        "requests": requests,
        "problem": one.problem,
        "past": one.past() if place is None else [],
        "live": one.live() if place is None or entries or one.is_noted_since(before) else None,
    }
    told["pending"] = bool(told["pending"]) and not told["locked"]
    yield f"app {one.app}", told
    for what, why in one.unread.items():
        yield f"unread {what}", why


def _why(error: Exception) -> str:
    """A file of the host's has a form that nobody has foreseen. Its text may be in the error."""
    return f"unexpected {type(error).__name__}"


def _units(
    wanted: list[str],
) -> Generator[tuple[str, object], None, tuple[dict[str, str], dict[str, units.Properties]]]:
    """Ask systemd. (The value of this generator: all units, and those that should run.)"""
    states: dict[str, str] = {}
    shown: dict[str, units.Properties] = {}
    try:
        states = units.listing()
        shown = units.states(wanted)
    except units.Unknown as error:
        yield "unread units", str(error)
    return states, shown


class _Asking(threading.Thread):
    """Asks a site while everything else is read."""

    def __init__(self, app: apps.App) -> None:
        super().__init__(daemon=True)
        self.app = app.app
        self._app = app
        self._found: tuple[str | None, tuple[float, float] | None] = (None, None)
        self.start()

    def run(self) -> None:
        self._found = self._app.health()

    def answer(self) -> tuple[str | None, tuple[float, float] | None]:
        self.join(SECONDS)
        return self._found


# -- the parent


def found_in_time(find_all: Find, seconds: float) -> Iterator[tuple[str, object]]:
    """What a child finds within this time; `late` is among it if that was not all, `failed` with
    why if it could not go on. It holds none of our standard streams: sshd waits until nobody
    does."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_child(find_all, writing)
    os.close(writing)
    end, text = time.monotonic() + seconds, b""
    while (left := end - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        piece = os.read(reading, _PIECE_BYTES)
        text += piece
        if not piece:
            break
    os.close(reading)
    os.kill(child, signal.SIGKILL)
    units.ended(child)
    *lines, _torn = text.split(b"\n")
    for line in lines:
        name, value = json.loads(line)
        if name == "end":
            return
        yield name, value
        if name == "failed":
            return
    yield "late", None


def _be_the_child(find_all: Find, writing: int) -> None:
    status = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        last: tuple[str, object] = ("end", None)
        try:
            for part in find_all():
                os.write(writing, json.dumps(part).encode() + b"\n")
        except Exception as error:
            last = ("failed", _why(error))
        os.write(writing, json.dumps(last).encode() + b"\n")
        status = 0
    finally:
        os._exit(status)


def _put_together(parts: dict[str, object]) -> Table:
    """The fields of `wire.look.HostLook`."""
    how = f": {parts['failed']}" if "failed" in parts else f" within {SECONDS:g} s"
    known, names = parts.get("host"), parts.get("names")
    answer: Table = dict(known) if isinstance(known, dict) else {}
    unread = {name[7:]: str(why) for name, why in parts.items() if name.startswith("unread ")}
    for one in ("late", "failed"):
        if one in parts:
            unread[one] = f"not all could be read{how}"
    found, places = [], {}
    for name in names if isinstance(names, list) else []:
        told, front, place = (parts.get(f"{what} {name}") for what in ("app", "front", "place"))
        broken = parts.get(f"broken {name}")
        if not isinstance(told, dict):
            why = f": {broken}" if broken else how
            found.append({"app": name, "problem": f"it could not be read{why}"})
            if broken:
                unread[f"{name}: state"] = str(broken)
            continue
        if isinstance(front, list):
            told["front"], dates = front
            told["valid_from"], told["until"] = dates or (None, None)
        found.append(told)
        if isinstance(place, list):
            places[name] = (int(place[0]), int(place[1]), int(place[2]))
    answer["disks"] = [disk for name, disk in parts.items() if name.startswith("disk ")]
    answer["apps"] = found
    answer["cursor"] = cursor.write(time.time(), places)
    answer["unread"] = unread
    return answer


def whole(since: str | None) -> Table:
    """The answer for a session that has deadlines of its own."""
    return _put_together(dict(find(since)))


def fitting(answer: Table) -> str:
    """The answer as text of at most MOST_BYTES; what had to be left out is in `unread`."""
    text = json.dumps(answer)
    if len(text) <= MOST_BYTES:
        return text + "\n"
    found, unread = answer.get("apps"), answer.get("unread")
    if not isinstance(found, list) or not isinstance(unread, dict):
        return "{}\n"
    unread["size"] = "too long an answer: history, and what releases are made of, is left out"
    for one in reversed(found):
        if len(json.dumps(answer)) > MOST_BYTES:
            one["live"], one["past"] = None, []
    if len(text := json.dumps(answer)) <= MOST_BYTES:
        return text + "\n"
    unread["size"] = "the answer would be too long: old entries and the last apps are left out"
    for one in found:
        one["entries"] = one.get("entries", [])[-_FEW_ENTRIES:]
    while len(text := json.dumps(answer)) > MOST_BYTES and found:
        found.pop()
    return text + "\n"
