"""The queue of messages: each messenger has a thread, so that a silent one holds no other up.

Messages stay in order. Who does not take one is tried again after growing pauses for a day, and
then hears of all that it missed in one message. The queue is kept in the store; it works without.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from cartwheel_monitor import language, messages, messengers, past, records
from cartwheel_monitor.messages import Message
from cartwheel_monitor.store import Job

PAUSES = (5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)
"""Seconds after the first failed attempt, the second, ...; then always the last."""
# News do not wait for an hour's pause of a messenger that may be back.
FRESH_SECONDS = 60.0
GIVEN_UP_SECONDS = 86400.0
MOST_WAITING = 1000
# More than so many that waited so long are one message.
_MERGED_FROM = 3
_MERGED_SECONDS = 300.0

Send = Callable[[str, Message], str]


@dataclass(frozen=True)
class Waiting:
    """A message that a messenger has not taken yet."""

    id: int
    message: Message


@dataclass(frozen=True)
class Reached:
    """How a messenger does. `address`: masked. `problem`: why the last attempt failed, "" for
    nothing; `since`: of the first that failed. `given_up`: messages that it never heard. `address`,
    `since` and `tries` are for the page."""

    name: str
    address: str
    waiting: int = 0
    problem: str = ""
    since: float | None = None
    tries: int = 0
    given_up: int = 0


class Telling:
    """`start`, then `tell` from any thread, then `stop`."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        submit: Callable[[Job], None],
        *,
        send: Send = messengers.send,
        clock: Callable[[], float] = time.time,
        pauses: tuple[float, ...] = PAUSES,
        spoken: str = "en",
    ) -> None:
        """`addresses`: by messenger's name. `submit`: of the store. `spoken`: the language of what
        it says itself."""
        self._submit = submit
        self._clock = clock
        self._lock = threading.Lock()
        self._next_id = 1
        secrets = tuple(addresses.values())
        self._queues = {
            name: _Queue(name, address, submit, send, clock, pauses, secrets, spoken)
            for name, address in addresses.items()
        }

    def start(self, path: Path | None = None) -> None:
        """Begin to deliver; first what the database at `path` has waiting."""
        waiting: dict[str, list[Waiting]] = {}
        if path is not None:
            with suppress(OSError, sqlite3.Error):
                self._next_id, waiting = undelivered(path, self._clock() - GIVEN_UP_SECONDS)
        for name, queue in self._queues.items():
            queue.start(waiting.get(name, ()))

    def tell(self, every: Iterable[Message]) -> None:
        """Have these delivered by each messenger, in this order; it does not wait."""
        with self._lock:
            for message in every:
                one = Waiting(self._next_id, message)
                self._next_id += 1
                self._submit(_adding(one, tuple(self._queues)))
                for queue in self._queues.values():
                    queue.put(one)

    def reached(self) -> tuple[Reached, ...]:
        """How each messenger does, for the page."""
        return tuple(queue.reached() for queue in self._queues.values())

    def stop(self, within_seconds: float = 2.0) -> None:
        """Deliver nothing more; what waits comes after the next start."""
        for queue in self._queues.values():
            queue.stop()
        end = time.monotonic() + within_seconds
        for queue in self._queues.values():
            queue.join(max(0.0, end - time.monotonic()))


class _Queue:
    """One messenger's."""

    def __init__(
        self,
        name: str,
        address: str,
        submit: Callable[[Job], None],
        send: Send,
        clock: Callable[[], float],
        pauses: tuple[float, ...],
        secrets: tuple[str, ...],
        spoken: str,
    ) -> None:
        self._name = name
        self._address = address
        self._submit = submit
        self._send = send
        self._clock = clock
        self._pauses = pauses
        self._secrets = secrets
        self._spoken = spoken
        self._news = threading.Condition()
        self._waiting: deque[Waiting] = deque()
        self._tries = 0
        self._problem = ""
        self._since: float | None = None
        self._given_up = 0
        self._tried = 0.0  # by time.monotonic(), as is:
        self._due = 0.0
        self._is_ending = False
        self._thread = threading.Thread(target=self._deliver, name=f"tell {name}", daemon=True)

    def start(self, waiting: Iterable[Waiting]) -> None:
        self._waiting.extend(waiting)
        self._thread.start()

    def put(self, one: Waiting) -> None:
        with self._news:
            self._waiting.append(one)
            while len(self._waiting) > MOST_WAITING:
                self._give_up(self._waiting.popleft())
            if self._tries:
                self._due = min(self._due, self._tried + FRESH_SECONDS)
            self._news.notify_all()

    def reached(self) -> Reached:
        with self._news:
            return Reached(
                self._name,
                messengers.masked(self._address),
                len(self._waiting),
                self._problem,
                self._since,
                self._tries,
                self._given_up,
            )

    def stop(self) -> None:
        with self._news:
            self._is_ending = True
            self._news.notify_all()

    def join(self, seconds: float) -> None:
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _deliver(self) -> None:
        language.use(self._spoken)
        while True:
            with self._news:
                while not self._is_ending and not self._is_due():
                    pause = self._due - time.monotonic() if self._waiting else None
                    self._news.wait(pause if pause is None else max(0.01, pause))
                if self._is_ending:
                    return
                self._drop_old()
                now = self._chosen()
            if now:
                self._attempt(now)

    def _is_due(self) -> bool:
        return bool(self._waiting) and time.monotonic() >= self._due

    def _drop_old(self) -> None:
        oldest = self._clock() - GIVEN_UP_SECONDS
        while self._waiting and self._waiting[0].message.at < oldest:
            self._give_up(self._waiting.popleft())

    def _chosen(self) -> tuple[Waiting, ...]:
        """The next one; all, where many have waited long."""
        if not self._waiting:
            return ()
        waited = self._clock() - self._waiting[0].message.at
        is_many = len(self._waiting) > _MERGED_FROM
        if is_many and (waited > _MERGED_SECONDS or self._tries):
            return tuple(self._waiting)
        return (self._waiting[0],)

    def _attempt(self, now: tuple[Waiting, ...]) -> None:
        every = [one.message for one in now]
        message = every[0] if len(every) == 1 else messages.merged(every)
        try:
            problem = self._send(self._address, message)
        except Exception as error:
            problem = messengers.unexpected(error)  # its text may hold the address
        problem = messengers.without(problem, self._secrets)
        with self._news:
            self._tried = time.monotonic()
            self._problem = problem
            if not problem:
                self._tries, self._since, self._due = 0, None, 0.0
                taken = {one.id for one in now}
                self._waiting = deque(one for one in self._waiting if one.id not in taken)
                self._submit(_done(self._name, taken, self._clock()))
                return
            self._since = self._since if self._since is not None else self._clock()
            self._tries += 1
            pause = self._pauses[min(self._tries, len(self._pauses)) - 1]
            self._due = self._tried + pause
            self._submit(_failed(self._name, now[0].id, self._tries, problem))

    def _give_up(self, one: Waiting) -> None:
        self._given_up += 1
        self._submit(_given_up(self._name, one.id))


def _adding(one: Waiting, names: tuple[str, ...]) -> Job:
    data = json.dumps(asdict(one.message))

    def job(db: sqlite3.Connection) -> None:
        db.execute(
            "INSERT OR REPLACE INTO news (id, at, number, data) VALUES (?, ?, ?, ?)",
            (one.id, one.message.at, one.message.number, data),
        )
        for name in names:
            db.execute(
                "INSERT OR IGNORE INTO deliveries (news, messenger) VALUES (?, ?)", (one.id, name)
            )

    return job


def _done(name: str, ids: Iterable[int], at: float) -> Job:
    every = tuple(ids)

    def job(db: sqlite3.Connection) -> None:
        for each in every:
            db.execute(
                "UPDATE deliveries SET done = ?, problem = '' WHERE news = ? AND messenger = ?",
                (at, each, name),
            )

    return job


def _failed(name: str, id_: int, tries: int, problem: str) -> Job:
    def job(db: sqlite3.Connection) -> None:
        db.execute(
            "UPDATE deliveries SET tries = ?, problem = ? WHERE news = ? AND messenger = ?",
            (tries, problem, id_, name),
        )

    return job


def _given_up(name: str, id_: int) -> Job:
    def job(db: sqlite3.Connection) -> None:
        db.execute(
            "UPDATE deliveries SET done = 0, problem = 'given up' WHERE news = ? AND messenger = ?",
            (id_, name),
        )

    return job


def undelivered(path: Path, since: float) -> tuple[int, dict[str, list[Waiting]]]:
    """The number of the next message, and by messenger what it has not taken, oldest first. Raises
    sqlite3.Error."""
    with past.reading(path) as db:
        newest = db.execute("SELECT coalesce(max(id), 0) FROM news").fetchone()[0]
        rows = db.execute(
            "SELECT messenger, id, data FROM deliveries JOIN news ON news.id = deliveries.news"
            " WHERE done IS NULL AND at >= ? ORDER BY id",
            (since,),
        ).fetchall()
    found: dict[str, list[Waiting]] = {}
    for name, id_, data in rows:
        with suppress(ValueError):
            known = json.loads(data)
            if isinstance(known, dict):
                message = Message(
                    records.text(known, "title"),
                    records.text(known, "body"),
                    records.text(known, "mood"),
                    int(records.number(known, "number")),
                    records.number(known, "at"),
                )
                found.setdefault(name, []).append(Waiting(id_, message))
    return int(newest) + 1, found
