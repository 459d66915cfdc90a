"""What the monitor keeps: written by one thread, so that no disk holds the watcher up.

Nothing here raises into the watcher. What cannot be written waits in memory, as much as fits; the
rest is counted, and noted when the disk works again. A torn database is set aside and begun anew
from the incidents' log (incident_log.py), which is a file of its own.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from cartwheel_monitor import database, incident_log, records, schema
from cartwheel_monitor.database import Keeping, Subjects
from cartwheel_monitor.incident_log import Note
from cartwheel_monitor.incidents import Incident, Told
from cartwheel_monitor.judge import State
from cartwheel_monitor.language import later
from cartwheel_monitor.pulse import Pulse
from cartwheel_monitor.quiet import Silence
from cartwheel_monitor.records import Json
from cartwheel_monitor.rows import Row
from cartwheel_monitor.subjects import KINDS

DATABASE = "monitor.sqlite"
LOG = "incidents.jsonl"

# In memory: half an hour of 100 hosts. Then the oldest looks go; incidents and news hardly ever do.
MOST_ROWS = 50_000
MOST_LINES = 10_000
MOST_JOBS = 10_000
_BATCH_SECONDS = 1.0
_RETRY_SECONDS = (1.0, 5.0, 15.0, 30.0)
_SHRINK_SECONDS = 600.0
_CHECK_SECONDS = 60.0
# A shorter trouble in which nothing was lost is not worth a note.
WORTH_SECONDS = 60.0

# An earlier version may find more columns than it knows.
_ADD_INCIDENT = (
    "INSERT OR REPLACE INTO incidents (number, kind, app, began, ended, data)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)

Job = Callable[[sqlite3.Connection], None]


@dataclass(frozen=True)
class Opened:
    """What came back. `cursors`: by host, for the next look. `notes`: what is missing."""

    state: State = field(default_factory=State)
    cursors: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Health:
    """How the store is. `trouble`: why it cannot write now, "" for nothing; `since` then. `lost`:
    looks that were never kept, `lost_ever`: since the start. `waiting`: what is in memory only."""

    trouble: str = ""
    since: float = 0.0
    lost: int = 0
    lost_ever: int = 0
    waiting: int = 0


class Store:
    """A folder with the database and the log. `open`, then any of the others from one thread or
    several, then `close`."""

    def __init__(
        self,
        folder: Path,
        *,
        keeping: Keeping | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = folder / DATABASE
        self.log = folder / LOG
        self._keeping = keeping or Keeping()
        self._clock = clock
        self._news = threading.Condition()
        self._rows: deque[Row] = deque()
        self._jobs: deque[Job] = deque()
        self._lines: deque[dict[str, Json]] = deque()
        self._kept: dict[str, str] = {}  # the last of each, also what is written already
        self._unwritten: set[str] = set()
        self._incidents: dict[int, Incident] = {}
        self._changed: dict[int, Incident] = {}
        self._silences: tuple[Silence, ...] = ()
        self._seq = 0
        self._state = State()
        self._notes: list[Note] = []
        self._health = Health()
        self._is_ending = False
        self._db: sqlite3.Connection | None = None
        self._subjects: Subjects | None = None
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)

    # The watcher's side

    def open(self) -> Opened:
        """Read what is there, and begin to write. It takes what is there: a part that cannot be
        read is noted."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        known = self._read_log()
        kept: dict[str, str] = {}
        try:
            self._connect()
            kept = self._read_kept()
        except (OSError, sqlite3.Error, schema.ForeignError) as error:
            self._failed(error)
            with suppress(OSError, sqlite3.Error, schema.ForeignError):
                self._connect()
        found = records.state(_decoded(kept.get("state", "")))
        seq = records.number(_table(_decoded(kept.get("seq", ""))), "seq")
        state = _with_log(found, known) if known.seq >= seq else found
        cursors = {
            key.partition(":")[2]: text for key, text in kept.items() if key.startswith("cursor:")
        }
        self._seq = max(self._seq, known.seq, int(seq))
        self._kept.update(kept)
        self._incidents = dict(state.book.open)
        self._silences = state.silences
        self._state = state
        self._thread.start()
        return Opened(state, cursors, tuple(self._notes))

    def add(self, rows: Iterable[Row]) -> None:
        """Keep what was seen."""
        with self._news:
            self._rows.extend(rows)
            self._trim()
            self._news.notify_all()

    def keep(
        self,
        state: State,
        told: Iterable[Told] = (),
        *,
        cursors: Mapping[str, str] | None = None,
        at: float,
    ) -> None:
        """Keep what must survive a restart. `told`: what `news` returned for this state. `cursors`:
        of the hosts whose looks are in it."""
        with self._news:
            for host, cursor in (cursors or {}).items():
                self._put(f"cursor:{host}", cursor)
            self._note_incidents(state, {one.incident.number: one.incident for one in told}, at)
            if state.silences != self._silences:
                self._silences = state.silences
                self._line(incident_log.of_silences(self._next(), state.silences))
            if state != self._state:
                self._state = state
                self._unwritten.add("state")
            self._news.notify_all()

    def put(self, key: str, text: str) -> None:
        """Keep a text, in place of the last one with that key."""
        with self._news:
            self._put(key, text)
            self._news.notify_all()

    def submit(self, job: Job) -> None:
        """Have something written in the next transaction; again, after one that failed."""
        with self._news:
            self._jobs.append(job)
            self._trim()
            self._news.notify_all()

    def note(self, text: str) -> None:
        """Write down what happened to the monitor itself."""
        with self._news:
            self._add_note(text)
            self._news.notify_all()

    def notes(self) -> tuple[Note, ...]:
        """What was noted since the last call, for people."""
        with self._news:
            found, self._notes = tuple(self._notes), []
            return found

    @property
    def health(self) -> Health:
        with self._news:
            waiting = len(self._rows) + len(self._jobs) + len(self._lines)
            return replace(self._health, waiting=waiting)

    def close(self, within_seconds: float = 5.0) -> None:
        """Write what waits, within that time."""
        with self._news:
            self._is_ending = True
            self._news.notify_all()
        self._thread.join(within_seconds)

    # What is to be written

    def _trim(self) -> None:
        lost = max(0, len(self._rows) - MOST_ROWS)
        for _ in range(lost):
            self._rows.popleft()
        self._lose(lost)
        while len(self._jobs) > MOST_JOBS:
            self._jobs.popleft()

    def _lose(self, count: int) -> None:
        known = self._health
        self._health = replace(known, lost=known.lost + count, lost_ever=known.lost_ever + count)

    def _put(self, key: str, text: str) -> None:
        if self._kept.get(key) != text:
            self._kept[key] = text
            self._unwritten.add(key)

    def _note_incidents(self, state: State, told: Mapping[int, Incident], at: float) -> None:
        now = state.book.open
        for number, one in {**told, **now}.items():
            known = self._incidents.get(number)
            if known == one:
                continue
            self._incidents[number] = self._changed[number] = one
            if known is None or _without_texts(known) != _without_texts(one):
                self._line(incident_log.of_incident(self._next(), one))
        for number in [one for one in self._incidents if one not in now]:
            one = self._incidents.pop(number)
            if one.ended is None:  # what only happened, or was over before it was told
                over = replace(one, ended=at)
                self._line(incident_log.of_incident(self._next(), over))
                self._changed[number] = over

    def _line(self, line: dict[str, Json]) -> None:
        self._lines.append(line)
        while len(self._lines) > MOST_LINES:
            self._lines.popleft()

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _add_note(self, text: str) -> None:
        note = Note(self._clock(), text)
        self._notes.append(note)
        del self._notes[:-MOST_LINES]
        self._line(incident_log.of_note(self._next(), note))

    # The writer's side

    def _write(self) -> None:
        failures = 0
        is_checked = False
        shrunk = self._clock()
        while True:
            with self._news:
                if not self._has_work() and not self._is_ending:
                    self._news.wait(_BATCH_SECONDS)
                ending = self._is_ending
            try:
                unlogged = self._write_lines()
                if not is_checked:
                    self._check()
                    is_checked = True
                self._write_rows()
                if self._clock() - shrunk >= _SHRINK_SECONDS and self._db is not None:
                    database.shrink(self._db, self._keeping, self._clock())
                    shrunk = self._clock()
                if unlogged:
                    raise unlogged
                self._recovered()
                failures = 0
            except Exception as error:
                self._failed(error)
                failures += 1
            if ending and failures != 1:  # one failure may be a lock
                with suppress(sqlite3.Error):
                    if self._db is not None:
                        self._db.close()
                return
            pause = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS)) - 1] if failures else 0.0
            with self._news:
                if pause and not self._is_ending:
                    self._news.wait_for(lambda: self._is_ending, pause)

    def _has_work(self) -> bool:
        return bool(self._rows or self._jobs or self._lines or self._unwritten or self._changed)

    def _write_lines(self) -> OSError | None:
        """Why that failed; the database does not wait for it."""
        with self._news:
            lines = list(self._lines)
            self._lines.clear()
        if not lines:
            return None
        try:
            incident_log.append(self.log, lines)
        except OSError as error:
            with self._news:
                self._lines.extendleft(reversed(lines))
            return error
        return None

    def _write_rows(self) -> None:
        if self._db is None:
            self._connect()
        db, subjects = self._db, self._subjects
        with self._news:
            rows, jobs, changed = list(self._rows), list(self._jobs), dict(self._changed)
            keys, state, seq = set(self._unwritten), self._state, self._seq
            texts = {key: self._kept[key] for key in keys if key in self._kept}
            self._rows.clear()
            self._jobs.clear()
            self._changed.clear()
            self._unwritten.clear()
        if db is None or subjects is None or not (rows or jobs or changed or keys):
            return
        if "state" in keys or changed:
            texts["state"] = json.dumps(records.of_state(state))
            texts["seq"] = json.dumps({"seq": seq})
        try:
            with database.transaction(db):
                database.add(db, subjects, rows)
                for job in jobs:
                    job(db)
                for number, one in changed.items():
                    data = json.dumps(records.of_incident(one))
                    row = (number, one.kind, one.app, one.began, one.ended, data)
                    db.execute(_ADD_INCIDENT, row)
                for key, text in texts.items():
                    put = (database.text(key), database.text(text))
                    db.execute("INSERT OR REPLACE INTO kept (key, data) VALUES (?, ?)", put)
        except Exception as error:
            with self._news:
                may_work = isinstance(error, (OSError, sqlite3.OperationalError))
                if may_work or database.is_torn(error):
                    self._rows.extendleft(reversed(rows))
                    self._jobs.extendleft(reversed(jobs))
                    self._trim()
                else:  # what a host said cannot be written, now or later
                    self._lose(len(rows))
                self._changed = {**changed, **self._changed}
                self._unwritten |= keys
            raise

    def _check(self) -> None:
        """Look for damage once, beside the watcher: of a large file it takes a while."""
        problem = database.problem_of(self.path, _CHECK_SECONDS) if self._db else ""
        if problem:
            raise sqlite3.DatabaseError(problem)

    def _connect(self) -> None:
        self._db = database.connect(self.path)
        self._subjects = Subjects(self._db)
        if self._db.execute("SELECT count(*) FROM kept").fetchone()[0] == 0:
            with self._news:
                self._unwritten |= {"state", *self._kept}
                self._changed = {**self._incidents, **self._changed}

    def _read_kept(self) -> dict[str, str]:
        if self._db is None:
            return {}
        return dict(self._db.execute("SELECT key, data FROM kept").fetchall())

    def _read_log(self) -> incident_log.Known:
        try:
            known = incident_log.read(self.log)
        except OSError as error:
            self._add_note(
                later("{name} cannot be read: {why}", name=self.log.name, why=error.strerror)
            )
            return incident_log.Known()
        if known.torn:
            self._add_note(
                later(
                    "{name}: {count} torn lines were left out",
                    name=self.log.name,
                    count=known.torn,
                )
            )
        return known

    # Troubles

    def _failed(self, error: BaseException) -> None:
        """A torn database is set aside; everything else is tried again."""
        with self._news:
            if not self._health.trouble:
                self._health = replace(self._health, since=self._clock())
            self._health = replace(self._health, trouble=str(error) or type(error).__name__)
        # After any failure it is opened again: perhaps the file has been moved away.
        with suppress(sqlite3.Error):
            if self._db is not None:
                self._db.close()
        self._db = self._subjects = None
        if not database.is_torn(error):
            return
        try:
            there = database.set_aside(self.path, self._clock())
        except OSError:
            return  # it is tried again
        with self._news:
            self._add_note(
                later(
                    "{name} was torn ({why}) and is set aside as {there}: the history begins anew,"
                    " the incidents are as in the log",
                    name=self.path.name,
                    why=error,
                    there=there.name,
                )
            )

    def _recovered(self) -> None:
        with self._news:
            was = self._health
            if not was.trouble:
                return
            self._health = Health(lost_ever=was.lost_ever)
            seconds = self._clock() - was.since
            if seconds >= WORTH_SECONDS or was.lost:
                self._add_note(
                    later(
                        "the store works again after {seconds:.0f} s ({why}); {count} looks were"
                        " not kept",
                        seconds=seconds,
                        why=was.trouble,
                        count=was.lost,
                    )
                )


def _without_texts(one: Incident) -> Incident:
    """What of it is worth a line: a share that is another at each look is not."""
    members = {subject: replace(each, problem="") for subject, each in one.members.items()}
    return replace(one, members=members)


def _with_log(found: State, known: incident_log.Known) -> State:
    """The state with the incidents of the log, which knows them at least as well."""
    book = records.book(known.open, max([0, *known.incidents]) + 1)
    book = replace(book, next_number=max(book.next_number, found.book.next_number))
    members = {one: each for item in book.open.values() for one, each in item.members.items()}
    pulses = {one: each for one, each in found.pulses.items() if each.state != "down"}
    for subject, member in members.items():
        kind = KINDS[subject.kind]
        before = found.pulses.get(subject)
        if before is None or before.state != "down":
            before = Pulse("down", kind.bad_looks, 0, member.began, member.problem)
        pulses[subject] = before
    return replace(found, pulses=pulses, book=book, silences=known.silences)


def _decoded(text: str) -> Json:
    with suppress(ValueError):
        found: Json = json.loads(text)
        return found
    return None


def _table(found: Json) -> records.Table:
    return found if isinstance(found, dict) else {}
