"""The applications on this host, as far as a user can see them who may only read."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from functools import cached_property

from cartwheel.host.watch import front, made, sites, timers, units
from cartwheel.host.watch.cursor import Place
from cartwheel.host.watch.requests import Log
from cartwheel.host.watch.timers import Moment, Table, number, table

RECORDS, UNITS, RUN = "/var/lib/cartwheel", "/etc/systemd/system", "/run/cartwheel"
OLD_SLOTS = ("web", "web-b", "web-c", "web-d")
_RECORD = re.compile(r"([a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)?)\.json")
_ROOT = re.compile(r"^RequiresMountsFor=(/\S*)$", re.MULTILINE)
_PORT = re.compile(r"^\s*(?:listen\s+(?:\S+:)?|<VirtualHost\s+\S*:)(\d+)[^\n]*$", re.MULTILINE)
_TLS_PORT = re.compile(r"^Port=(\d+)$", re.MULTILINE)
_TLS_END = re.compile(r"^End=(\w+)$", re.MULTILINE)
_MANIFEST_BYTES = 4 << 20
_JOURNAL_BYTES = 128 << 10
_MOST_ENTRIES = 50
_MOST_PROCESSES = 200
_WORDS_CHARACTERS = 500


def names() -> list[str]:
    """The applications that are set up here."""
    try:
        found = map(_RECORD.fullmatch, sorted(os.listdir(RECORDS)))
    except OSError:
        return []
    return [one[1] for one in found if one is not None]


def root_of(app: str) -> str:
    """The folder of an application, as its boot unit names it."""
    found = _ROOT.search(units.text_of(f"{UNITS}/cartwheel-{app}.service"))
    return found[1] if found else f"/srv/{app}"


class App:
    """One application; `unread` is what could not be read of it, and why."""

    def __init__(self, app: str) -> None:
        self.app = app
        self.root = root_of(app)
        self.unread: dict[str, str] = {}
        self.problem = ""
        self.release, self.since = self._current()
        self.manifest = self._manifest()
        self.assigned = table(f"{self.root}/assigned.json")
        self.is_stopped = self._has("stopped.json")
        self.units = {} if self.is_stopped else dict(self._instances())

    def _current(self) -> tuple[str, float | None]:
        path = f"{self.root}/current"
        try:
            return os.path.basename(os.readlink(path)), os.lstat(path).st_mtime
        except FileNotFoundError:
            return "", None
        except OSError as error:
            self.problem = f"{self.root}: {error.strerror} (for the user of monitors)"
            return "", None

    def _manifest(self) -> Table:
        if not self.release:
            return {}
        path = f"{self.root}/releases/{self.release}/release.json"
        try:
            with open(path, "rb") as file:
                value = json.loads(file.read(_MANIFEST_BYTES))
            return value if isinstance(value, dict) else {}
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is damaged"
            self.problem = self.problem or f"{path}: {why} (for the user of monitors)"
            return {}

    def _has(self, name: str) -> bool:
        """Whether a mark is there; a damaged one counts."""
        try:
            os.lstat(f"{self.root}/{name}")
        except FileNotFoundError:
            return False
        except OSError as error:
            self.unread[f"{self.app}: {name}"] = error.strerror or "?"
            return False
        return True

    def _instances(self) -> Iterator[tuple[str, tuple[str, str]]]:
        """The units that should run, each with its process and its label."""
        try:
            target = os.readlink(f"{self.root}/releases/{self.release}/http.sock")
        except OSError:
            return
        slot = os.path.basename(os.path.dirname(target))
        counts, slots = self.assigned.get("counts", {"web": 1}), self.assigned.get("slots", {})
        if not isinstance(counts, dict) or not isinstance(slots, dict):
            return
        stopped = self._stopped()
        for process in sorted(set(counts) - stopped, key=lambda one: (one != "web", one)):
            if process == "web":
                yield self._unit("web", slot), ("web", slot)
                continue
            own = slots.get(process, slot)
            for one in range(1, min(int(counts[process]), _MOST_PROCESSES) + 1):
                yield self._unit(process, f"{own}.{one}"), (process, f"{own}.{one}")

    def _unit(self, process: str, label: str) -> str:
        if label in OLD_SLOTS:
            return f"cartwheel-{self.app}.{label}.{self.release}.service"
        return f"cartwheel-{self.app}.{process}.{self.release}@{label}.service"

    def _stopped(self) -> set[str]:
        """The processes that somebody has stopped."""
        try:
            return {one[:-5] for one in os.listdir(f"{self.root}/stopped") if one.endswith(".json")}
        except OSError:
            return set()

    # -- what is asked

    def health(self) -> tuple[str | None, tuple[float, float] | None]:
        """What is wrong with the answer through the web server, and when the certificate begins
        and ends."""
        probe = self.manifest.get("probe")
        kind = sites.of_app(self.app)
        site = units.text_of(kind.site(self.app), 1 << 20) if kind else ""
        port = _PORT.search(site)
        secure_port, end = self._tls()
        probe = probe if isinstance(probe, dict) else {}
        host = str(probe.get("host", ""))
        if end == "app" and secure_port and probe and port and not self.is_stopped:
            return front.ask(self._question(probe, secure_port, secure=True))
        dates = front.shown(secure_port, host) if secure_port else None
        if not probe or not port or not self.release or self.is_stopped:
            return None, dates
        return front.ask(self._question(probe, int(port[1]), secure=False))[0], dates

    def _question(self, probe: Mapping[str, object], port: int, *, secure: bool) -> front.Question:
        return front.Question(
            port,
            str(probe.get("host", "")),
            str(probe.get("path", "/")),
            int(number(probe.get("status")) or 200),
            secure=secure,
            by_proxy=probe.get("scheme") == "https",
        )

    def _tls(self) -> tuple[int, str]:
        """The port of HTTPS, 0 without; and the site in which it ends: `app` or `balancer`."""
        text = units.text_of(f"{UNITS}/cartwheel-{self.app}_tls.service")
        port, end = _TLS_PORT.search(text), _TLS_END.search(text)
        if not text:
            return 0, ""
        return int(port[1]) if port else 443, end[1] if end else "app"

    def requests(self, place: Place | None, seconds: float) -> tuple[Table | None, Place]:
        """The requests since the place, None without one; and the next place, without its SEQ."""
        kind = sites.of_app(self.app)
        if kind is None:
            return None, (0, 0, 0)
        log = Log(kind, self.app)
        if place is None or not place[1]:
            log.skip()
            return None, (0, log.inode, log.offset)
        found = log.since(place[1], place[2])
        if log.unread:
            self.unread[f"{self.app}: requests"] = log.unread
        known = (0, log.inode, log.offset)
        return (None if found is None else {"seconds": round(seconds, 1), **found}), known

    def past(self) -> list[Table]:
        """The last entries of the journal."""
        return self._last_entries[-_MOST_ENTRIES:]

    def entries(self, seq: int | None) -> tuple[list[Table], int]:
        """The entries of the journal after this one, none without one; and the last one's SEQ."""
        found = self._last_entries
        last = max((int(number(one.get("seq")) or 0) for one in found), default=0)
        if seq is None:
            return [], last
        after = seq if seq <= last else 0  # else: the app was removed and set up again
        fresh = [one for one in found if (number(one.get("seq")) or 0) > after]
        if len(fresh) > _MOST_ENTRIES:
            self.unread[f"{self.app}: entries"] = f"{len(fresh) - _MOST_ENTRIES} older ones"
        return fresh[-_MOST_ENTRIES:], last

    @cached_property
    def _last_entries(self) -> list[Table]:
        return list(self._journal())

    def _journal(self) -> Iterator[Table]:
        try:
            with open(f"{self.root}/journal.jsonl", "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _JOURNAL_BYTES))
                lines = file.read(_JOURNAL_BYTES).splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            self.unread[f"{self.app}: entries"] = error.strerror or "?"
            return
        for line in lines:
            try:  # what does not fit was torn
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield {
                    key: value[:_WORDS_CHARACTERS] if isinstance(value, str) else value
                    for key, value in entry.items()
                }

    def is_locked(self, held: set[tuple[int, int, int]], states: Mapping[str, str]) -> bool:
        running = [unit for unit, state in states.items() if units.is_up(state)]
        is_held = units.is_locked(f"{RUN}/.lock.{self.app}", held)
        return is_held or units.has_session(running, self.app)

    def locked_since(self, held: set[tuple[int, int, int]]) -> float | None:
        """When the lock was taken: its holder writes the file then. None if nobody holds it."""
        path = f"{RUN}/.lock.{self.app}"
        try:
            return round(os.lstat(path).st_mtime, 1) if units.is_locked(path, held) else None
        except OSError:
            return None

    def live(self) -> Table | None:
        """What the live release is made of."""
        folder = f"{self.root}/releases/{self.release}"
        units_begin = f"{UNITS}/cartwheel-{self.app}"
        return made.look(folder, self.manifest, units_begin) if self.manifest else None

    def is_noted_since(self, before: float) -> bool:
        """Whether the settings of the live release were noted after that look: that is done after
        the entry in the journal."""
        noted = made.noted_at(f"{self.root}/releases/{self.release}")
        return noted is not None and before - made.APART_SECONDS <= noted <= time.time()

    def _declared(self) -> dict[str, Table]:
        """The timers that are here."""
        here, known = self.assigned.get("timers", []), self.manifest.get("timers", {})
        if not isinstance(here, list) or not isinstance(known, dict) or self.is_stopped:
            return {}
        return {name: known[name] for name in here if isinstance(known.get(name), dict)}

    def all_units(self) -> list[str]:
        """What systemd is asked about."""
        return [*self.units, *(timers.unit(self.app, name) for name in self._declared())]

    def timer_looks(self, at: Moment) -> list[Table]:
        found: list[Table] = []
        for name, declared in self._declared().items():
            try:
                found.append(timers.look(self.root, self.app, name, declared, at))
            except FileNotFoundError:  # not before its first deploy has ended
                continue
            except OSError as error:
                self.unread[f"{self.app}: timer {name}"] = error.strerror or "?"
        return found

    def processes(self, states: Mapping[str, units.Properties]) -> list[Table]:
        """The instances that should run, by what systemd says of their units."""
        now, clock = time.time(), time.clock_gettime(time.CLOCK_MONOTONIC)
        found: list[Table] = []
        for unit, (process, label) in self.units.items():
            known = states.get(unit)
            if known is None:
                continue
            changed = int(known.get("StateChangeTimestampMonotonic") or 0) / 1e6
            found.append(
                {
                    "process": process,
                    "label": label,
                    "active": known.get("ActiveState", ""),
                    "result": known.get("Result", ""),
                    "restarts": int(known.get("NRestarts") or 0),
                    "since": round(now - clock + changed, 1) if changed else None,
                    "memory": units.memory(known),
                }
            )
        return found

    def marks(self) -> dict[str, bool]:
        return {
            "closed": self._has("maintenance/on.json"),
            "stopped": self.is_stopped,
            "frozen": self._has("frozen.json"),
            "pending": self._has("pending.json"),
        }
