"""The incidents as lines of JSON, in a file of their own: it outlives a torn database.

A line is an incident as it is then, the silences, or a note of the monitor about itself. `seq`
grows with each line. A line that a crash or a full disk has torn is left out. The file is cut by
rename, so readers find the whole or the shorter one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cartwheel_monitor import records
from cartwheel_monitor.incidents import Incident
from cartwheel_monitor.quiet import Silence
from cartwheel_monitor.records import Json

MOST_BYTES = 8 << 20
KEPT_INCIDENTS = 1000
KEPT_NOTES = 200


@dataclass(frozen=True)
class Note:
    """What the monitor says about itself: what was lost, and what was set aside."""

    at: float
    text: str


@dataclass
class Known:
    """What a file says. `torn`: lines that cannot be read. `incidents`: each as it was last."""

    seq: int = 0
    incidents: dict[int, Incident] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    notes: list[Note] = field(default_factory=list)
    torn: int = 0

    @property
    def open(self) -> list[Incident]:
        return [one for one in self.incidents.values() if not one.is_over]


def of_incident(seq: int, one: Incident) -> dict[str, Json]:
    return {"seq": seq, "incident": records.of_incident(one)}


def of_silences(seq: int, silences: Iterable[Silence]) -> dict[str, Json]:
    return {"seq": seq, "silences": [records.of_silence(one) for one in silences]}


def of_note(seq: int, note: Note) -> dict[str, Json]:
    return {"seq": seq, "note": note.text, "at": note.at}


def read(path: Path) -> Known:
    """Everything that can be read; nothing where there is no file. Raises OSError for a file that
    is there and cannot be read."""
    known = Known()
    with suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            _take(known, line)
    return known


def _take(known: Known, line: bytes) -> None:
    try:
        found = json.loads(line)
    except ValueError:
        known.torn += bool(line.strip())
        return
    if not isinstance(found, dict):
        known.torn += 1
        return
    known.seq = max(known.seq, int(records.number(found, "seq")))
    one = records.incident(found.get("incident"))
    if one is not None:
        known.incidents[one.number] = one
    if "silences" in found:
        known.silences = records.silences(found["silences"])
    if "note" in found:
        known.notes.append(Note(records.number(found, "at"), records.text(found, "note")))


def append(path: Path, lines: Iterable[dict[str, Json]]) -> None:
    """Add lines and make them durable. Raises OSError; then the file may end with a torn line,
    which the next call ends. A file that is too long and cannot be cut now is cut after others."""
    text = b"".join(json.dumps(one).encode() + b"\n" for one in lines)
    fd = os.open(str(path), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            text = b"\n" + text
        while text:
            text = text[os.write(fd, text) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    if size > MOST_BYTES:
        with suppress(OSError):  # the lines are there
            cut(path)


def cut(path: Path) -> None:
    """Keep what is open, and the last of the rest. Raises OSError."""
    known = read(path)
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("wb") as file:
            for line in _kept(known):
                file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink()
    fd = os.open(str(path.parent), os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _kept(known: Known) -> Iterator[dict[str, Json]]:
    last = sorted(known.incidents)[-KEPT_INCIDENTS:]
    for number in sorted({*last, *(one.number for one in known.open)}):
        yield {"seq": 0, "incident": records.of_incident(known.incidents[number])}
    yield from (of_note(0, one) for one in known.notes[-KEPT_NOTES:])
    yield of_silences(known.seq, known.silences)
