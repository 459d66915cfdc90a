"""`fab logs`: the lines of all hosts, in order of time."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING

from cartwheel.commands.scene import Scene, connect, raise_failures
from cartwheel.errors import UsageError
from cartwheel.host.look.logs import sources
from cartwheel.host.wire.messages import Told
from cartwheel.host.wire.output import ReadLogs
from cartwheel.settings import names

if TYPE_CHECKING:
    from cartwheel.host.wire.request import Done
    from cartwheel.settings.toml_tables import Settings
    from cartwheel.ssh.session import Session

_SECONDS = 600.0  # the search for a rare line may read all of a log
_NO_DEADLINE_SECONDS = 365 * 86400.0
_LENGTHS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_PART = r"(\d+) ?(s|m|h|d|w)(?:(?:ec|in|our|ay|eek|econd|inute)s?)? ?"


@dataclass(frozen=True)
class Line:
    """A line of a host's log; `at` by the host's clock. `process`: the instance besides web that
    wrote it."""

    host: str
    at: float
    source: str
    text: str
    process: str = ""

    @property
    def origin(self) -> str:
        """The source and the process, as people read it."""
        if not self.process:
            return self.source
        return self.process if self.source == "app" else f"{self.process} {self.source}"


def logs(scene: Scene, asked: ReadLogs, on_line: Callable[[Line], None]) -> dict[str, str]:
    """Calls `on_line` for each line, in order of time; with `follow` until Ctrl-C. Returns why
    lines are missing, by host."""
    seconds = _NO_DEADLINE_SECONDS if asked.follow else _SECONDS
    merged = _Merged(scene.hosts, on_line)
    with connect(scene, changing=False) as fleet:

        def read(host: str, session: Session) -> Done:
            try:
                return session.request(
                    asked,
                    deadline_seconds=seconds,
                    on_event=lambda event: merged.take(host, event),
                )
            finally:
                merged.has_all(host)

        raise_failures(fleet.each(read))
    return merged.notes


class _Merged:
    """Keeps the lines that were there already until every host has sent its own, then passes on
    all in order of time, and from then on each at once."""

    def __init__(self, hosts: tuple[str, ...], on_line: Callable[[Line], None]) -> None:
        self._waited_for = set(hosts)
        self._on_line = on_line
        self._kept: list[Line] = []
        self._heard: set[str] = set()
        self._unkept: dict[str, str] = {}
        self._all = hosts
        self._lock = threading.Lock()

    @property
    def notes(self) -> dict[str, str]:
        silent = {host: "no such lines" for host in self._all if host not in self._heard}
        return {**silent, **self._unkept}

    def take(self, host: str, event: Told) -> None:
        if event["state"] == "done":
            if event["detail"]:
                self._unkept[host] = event["detail"]
            self.has_all(host)
            return
        process = event.get("process", "")
        line = Line(host, event["at"], event["source"], event["detail"], process)
        with self._lock:
            self._heard.add(host)
            if self._waited_for and len(self._all) > 1:
                self._kept.append(line)
            else:
                self._on_line(line)

    def has_all(self, host: str) -> None:
        with self._lock:
            self._waited_for.discard(host)
            if self._waited_for:
                return
            kept, self._kept = self._kept, []
            for line in sorted(kept, key=attrgetter("at")):
                self._on_line(line)


def checked_sources(settings: Settings, given: tuple[str, ...]) -> tuple[str, ...]:
    """The sources with these names, or with a part of them: the web server's name means both of its
    logs, `error` one. Raises UsageError."""
    found, every = [], sources(names.web_server(settings))
    for name in given:
        fitting = [one for one in every if name in (one, *one.split("-"))]
        if not fitting:
            known = ", ".join(every)
            raise UsageError(
                "usage", f"--source {name}: there is no such source", hint=f"Sources: {known}."
            )
        found += fitting
    return tuple(dict.fromkeys(found))


def checked_pattern(text: str) -> str:
    """Raises UsageError."""
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            "usage",
            f"--grep {text}: {error}",
            hint="It takes a regular expression; put \\ before a character that is meant.",
        ) from None
    return text


def ago(text: str, now: float | None = None) -> float:
    """How many seconds ago `--since TEXT` is. Raises UsageError."""
    now = time.time() if now is None else now
    said = " ".join(text.lower().split()).removesuffix(" ago")
    if re.fullmatch(f"(?:{_PART})+", said + " "):
        parts = re.findall(_PART, said + " ")
        return min(now, sum(int(number) * _LENGTHS[unit] for number, unit in parts))
    at = _time_of(said, now)
    if at is None or at > now:
        why = "is no time" if at is None else "has not come yet"
        raise UsageError(
            "usage",
            f"--since {text} {why}",
            hint="Examples: 90s, 15m, 2h, 1d, 14:30, today, yesterday, '2026-11-29 14:30'.",
        )
    return now - at


def _time_of(said: str, now: float) -> float | None:
    """A time in this machine's time zone, unless it names another."""
    today = datetime.fromtimestamp(now).date()
    days = {"today": today, "yesterday": today - timedelta(days=1)}
    if said in days:
        return _begin(days[said])
    try:
        if re.fullmatch(r"\d\d?:\d\d(:\d\d)?", said):
            hour, _, rest = said.partition(":")
            clock = datetime.fromisoformat(f"{today}T{hour:0>2}:{rest}")
            begun = clock.timestamp() <= now
            return (clock if begun else clock - timedelta(days=1)).timestamp()
        return datetime.fromisoformat(said.upper()).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _begin(day: date) -> float:
    return datetime(day.year, day.month, day.day).timestamp()
