"""The records of runs on the operator's own machine: a file of JSON lines each (docs/output.md).

A run that is alive holds the kernel's lock of its file. This module takes that lock for an instant,
which never hinders a run: it locks its file before it writes the first byte.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Optional

from cartwheel_monitor.page.reading import looks
from cartwheel_monitor.records import Json, Table, number, text

MOST = 50
MOST_EVENTS = 500
_FILE = re.compile(r"[0-9a-z]{9}\.jsonl")
_HEAD_BYTES = 64 << 10
_TAIL_BYTES = 256 << 10
_LONG_BYTES = 4 << 20  # of a result with the logs of many hosts
_MOST_CODE = 1000
_RESULT, _RUN = b'{"type": "result"', b'{"type": "run"'


@dataclass(frozen=True)
class Event:
    """What was said while it ran; of a host, "" for the operator's machine."""

    at: Optional[float]
    host: str
    step: str
    state: str
    detail: str
    seconds: Optional[float]


@dataclass(frozen=True)
class Ended:
    """How it ended on a host."""

    host: str
    outcome: str
    live: str
    before: str
    seconds: Optional[float]


@dataclass(frozen=True)
class Error:
    host: str
    message: str
    hint: str
    detail: str


@dataclass(frozen=True)
class Record:
    """A run. `is_alive`: it still runs; `exit`: its exit code, None before it has ended, or if it
    was killed. `left_out`: the bytes of older events that are not among `events`."""

    name: str
    is_alive: bool
    task: str = ""
    app: str = ""
    environment: str = ""
    who: str = ""
    message: str = ""
    version: str = ""
    hosts: tuple[str, ...] = ()
    began: Optional[float] = None
    exit: Optional[int] = None
    seconds: Optional[float] = None
    release: str = ""
    ended: tuple[Ended, ...] = ()
    errors: tuple[Error, ...] = ()
    events: tuple[Event, ...] = ()
    left_out: int = 0

    @property
    def state(self) -> str:
        """As in docs/output.md: ended, alive, killed."""
        return "ended" if self.exit is not None else "alive" if self.is_alive else "killed"


def newest(folder: Path, most: int = MOST) -> list[Record]:
    """Newest first, without their events. What cannot be read is left out."""
    found: list[Record] = []
    for path in _files(folder):
        record = _read(path, with_events=False)
        if record is not None:
            found.append(record)
        if len(found) >= most:
            break
    return found


def named(folder: Path, name: str) -> Record | None:
    """None where there is no such record, or it cannot be read."""
    path = folder / f"{name}.jsonl"
    return _read(path, with_events=True) if _FILE.fullmatch(path.name) else None


def _files(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted((one for one in folder.iterdir() if _FILE.fullmatch(one.name)), reverse=True)
    return []


def _read(path: Path, *, with_events: bool) -> Record | None:
    with suppress(OSError), os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return None
        # Before its lines: a run that ends in between will have its result.
        is_alive = _is_held(file)
        head, tail = file.read(_HEAD_BYTES), _tail(file, size, _TAIL_BYTES)
        if size > _TAIL_BYTES and _last_result(tail) is None and not is_alive:
            tail = _tail(file, size, _LONG_BYTES)
        about = {
            key: value
            for one in _tables(line for line in head.split(b"\n") if line.startswith(_RUN))
            for key, value in one.items()
        }
        if not about:
            return None
        events = tuple(_events(tail)) if with_events else ()
        left_out = max(0, size - len(tail)) if with_events else 0
        if len(events) > MOST_EVENTS:
            events, left_out = events[-MOST_EVENTS:], max(left_out, 1)
        return _record(path.stem, about, _last_result(tail), is_alive, events, left_out)
    return None


def _is_held(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _tail(file: BinaryIO, size: int, most: int) -> bytes:
    """The last whole lines, at most `most` bytes."""
    file.seek(max(0, size - most))
    data = file.read(most)
    return data if size <= most else data.partition(b"\n")[2]


def _last_result(data: bytes) -> Table | None:
    begins = data.rfind(b"\n" + _RESULT)
    if begins < 0 and not data.startswith(_RESULT):
        return None
    line = data[begins + 1 :].partition(b"\n")[0]
    return next(_tables([line]), None)


def _events(data: bytes) -> Iterator[Event]:
    for one in _tables(line for line in data.split(b"\n") if not line.startswith(_RESULT)):
        if text(one, "type") == "event":
            yield Event(
                looks.moment(number(one, "at")),
                text(one, "host"),
                text(one, "step"),
                text(one, "state"),
                text(one, "detail"),
                _seconds(one),
            )


def _record(
    name: str,
    about: Table,
    result: Table | None,
    is_alive: bool,
    events: tuple[Event, ...],
    left_out: int,
) -> Record:
    known: Table = result or {}
    hosts = about.get("hosts")
    return Record(
        name=name,
        is_alive=is_alive and result is None,
        task=text(about, "word"),
        app=text(about, "app"),
        environment=text(about, "environment"),
        who=text(about, "who"),
        message=text(about, "message"),
        version=text(about, "cartwheel"),
        hosts=tuple(map(str, hosts)) if isinstance(hosts, list) else (),
        began=looks.moment(number(about, "began")),
        exit=None if result is None else _code(number(known, "exit")),
        seconds=_seconds(known),
        release=text(known, "release"),
        ended=tuple(map(_ended, _list(known.get("hosts")))),
        errors=tuple(map(_error, _list(known.get("errors")))),
        events=events,
        left_out=left_out,
    )


def _ended(one: Table) -> Ended:
    outcome = text(one, "outcome")
    return Ended(
        text(one, "host"), outcome, text(one, "serves"), text(one, "before"), _seconds(one)
    )


def _error(one: Table) -> Error:
    return Error(text(one, "host"), text(one, "message"), text(one, "hint"), text(one, "detail"))


def _code(found: float) -> int:
    return int(found) if abs(found) < _MOST_CODE else 1


def _seconds(one: Table) -> float | None:
    found = number(one, "seconds")
    return looks.moment(found) if one.get("seconds") is not None else None


def _list(found: Json) -> list[Table]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _tables(lines: Iterable[bytes]) -> Iterator[Table]:
    """Those that are whole."""
    for line in lines:
        with suppress(ValueError, RecursionError):
            one = json.loads(line)
            if isinstance(one, dict):
                yield one
