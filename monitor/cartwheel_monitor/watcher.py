"""The watcher: asks every site and every host in its time, and hands each answer to its projects.

One loop decides; threads wait for sites and hosts. Who hangs keeps a thread of its own, and all
others go on.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Protocol, Tuple, Union

from cartwheel.host.wire.look import HostLook
from cartwheel_monitor import probe, silences, summary, watch_list
from cartwheel_monitor.desk import Desk
from cartwheel_monitor.language import later
from cartwheel_monitor.observations import Look, Probe
from cartwheel_monitor.places import Places
from cartwheel_monitor.schedule import Schedule
from cartwheel_monitor.sessions import LookError, Sessions
from cartwheel_monitor.watch_list import Host, Site, WatchList

# A look may take a little longer than a site: it reads a log.
LOOK_MORE_SECONDS = 3.0
# So many may hang at once before others are late; a thread is started when it is needed. A silent
# host keeps one for 8 of 18 s, so these are enough for 250 silent hosts (bench/monitor --hanging).
WORKERS = 128
_TURN_SECONDS = 0.25
_LISTS_SECONDS = 2.0
_STATUS_SECONDS = 2.0


class SecondWatcherError(Exception):
    """Another watcher runs here."""


@dataclass(frozen=True)
class SiteTarget:
    """A site of a project."""

    project: str
    site: Site
    timeout: float


@dataclass(frozen=True)
class HostTarget:
    """A host, for all projects that watch it."""

    host: Host
    timeout: float


Target = Union[SiteTarget, HostTarget]
Answer = Tuple[Target, Union[Probe, Look]]


class Hosts(Protocol):
    """Looks into hosts; used by many threads."""

    def look(self, host: Host, cursor: str, timeout: float) -> HostLook:
        """The host's answer since the cursor. Raises LookError."""

    def close(self) -> None:
        """No more looks follow."""


class Watcher:
    """Watches what the lists say until `stop`; `hosts`: by the monitor's own key, if not given."""

    def __init__(self, places: Places, hosts: Optional[Hosts] = None) -> None:
        self._places = places
        self._sessions = Sessions(places.key) if hosts is None else hosts
        self._schedule: Schedule[Target] = Schedule()
        self._desks: Dict[str, Desk] = {}
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._ending = threading.Event()
        self._lists: object = None
        self._unread: Dict[str, str] = {}
        self._cursors: Dict[Tuple[str, str, int], str] = {}

    def stop(self) -> None:
        """End `run` soon; may be called from a signal handler."""
        self._ending.set()

    def run(self) -> None:
        """Watch. Raises SecondWatcherError."""
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="look")
        with _alone(self._places.lock):
            try:
                self._loop(pool)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                for desk in self._desks.values():
                    desk.close()
                self._sessions.close()

    def _loop(self, pool: ThreadPoolExecutor) -> None:
        lists_at = status_at = float("-inf")
        while not self._ending.is_set():
            now = time.monotonic()
            if now - lists_at >= _LISTS_SECONDS:
                self._read_lists(now)
                self._take_silences()
                lists_at = now
            target = self._schedule.take(now)
            while target is not None:
                pool.submit(self._look, target)
                target = self._schedule.take(now)
            self._hear(_TURN_SECONDS)
            for desk in self._desks.values():
                desk.turn(time.time())
            if now - status_at >= _STATUS_SECONDS:
                self._write_status()
                status_at = now

    # In threads

    def _look(self, target: Target) -> None:
        """Never raises: whoever waits for the answer would wait for ever."""
        try:
            answer = self._asked(target)
        except Exception as error:
            problem = later("the monitor failed: unexpected {name}", name=type(error).__name__)
            answer = _failed(target, problem)
        self._answers.put((target, answer))

    def _asked(self, target: Target) -> Union[Probe, Look]:
        if isinstance(target, SiteTarget):
            site, found = target.site, probe.ask(target.site, target.timeout)
            return Probe(
                site.app,
                found.at + found.seconds,
                found.status,
                found.seconds,
                found.problem,
                site.url,
                found.until,
                found.valid_from,
            )
        host, began = target.host, time.monotonic()
        try:
            seen = self._sessions.look(host, self._cursors.get(host.place, ""), target.timeout)
        except LookError as error:
            return Look(host.name, time.time(), None, error.why, time.monotonic() - began)
        self._cursors[host.place] = seen.cursor
        return Look(host.name, time.time(), seen, "", time.monotonic() - began)

    # In the loop

    def _hear(self, seconds: float) -> None:
        """Hand answers to their projects, for so long at most."""
        until = time.monotonic() + seconds
        while True:
            try:
                target, answer = self._answers.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return
            due = self._handed(target, answer)
            if due is not None:
                self._schedule.done(target, time.monotonic() + max(0.0, due - time.time()))

    def _handed(self, target: Target, answer: Union[Probe, Look]) -> "float | None":
        """When the target is due again; None where nobody watches it any more."""
        if isinstance(target, SiteTarget) and isinstance(answer, Probe):
            desk = self._desks.get(target.project)
            if desk is None or target.site not in desk.listed.sites:
                return None
            desk.probed(answer)
            return desk.next_probe(answer)
        dues = []
        if isinstance(target, HostTarget) and isinstance(answer, Look):
            for desk in self._desks.values():
                for host in desk.listed.hosts:
                    if host.place == target.host.place:
                        _judge(desk, host, answer)
                        dues.append(desk.next_look(answer))
        return min(dues, default=None)

    def _read_lists(self, now: float) -> None:
        changed = watch_list.changed(self._places.lists)
        if changed == self._lists:
            return
        self._lists = changed
        found, self._unread = watch_list.read(self._places.lists)
        wanted = {one.project: one for one in found}
        for name in [name for name, desk in self._desks.items() if desk.listed != wanted.get(name)]:
            self._desks.pop(name).close()
        for name, listed in wanted.items():
            if name not in self._desks:
                self._desks[name] = desk = Desk(listed, self._places)
                for host in listed.hosts:
                    self._cursors.setdefault(host.place, desk.cursors.get(host.name, ""))
        targets = list(_targets(found))
        every = min((one.every for one in found), default=1.0)
        self._schedule.set_targets(targets, now, every)

    def _take_silences(self) -> None:
        for one in silences.take(self._places.silences):
            for desk in self._desks.values():
                desk.silence(one)

    def _write_status(self) -> None:
        text = json.dumps(summary.of(self._desks.values(), self._unread, time.time()), indent=1)
        temporary = self._places.status.with_suffix(".new")
        with suppress(OSError):  # a full disk; `status` says how old the last one is
            temporary.write_text(text + "\n", encoding="utf-8")
            temporary.replace(self._places.status)


def _targets(lists: List[WatchList]) -> Iterator[Target]:
    hosts: Dict[Tuple[str, str, int], HostTarget] = {}
    for listed in lists:
        for site in listed.sites:
            yield SiteTarget(listed.project, site, listed.timeout)
        for host in listed.hosts:
            target = HostTarget(host, listed.timeout + LOOK_MORE_SECONDS)
            hosts.setdefault(host.place, target)
    yield from hosts.values()


def _judge(desk: Desk, host: Host, look: Look) -> None:
    """Whatever a host has said, the others are watched."""
    try:
        desk.looked(host, look)
    except Exception as error:
        problem = later("its answer cannot be judged: {name}", name=type(error).__name__)
        desk.looked(host, replace(look, seen=None, problem=problem))


def _failed(target: Target, problem: str) -> Union[Probe, Look]:
    if isinstance(target, SiteTarget):
        return Probe(target.site.app, time.time(), None, 0.0, problem, target.site.url)
    return Look(target.host.name, time.time(), None, problem)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of the only watcher; the kernel frees it, however the watcher ends."""
    fd = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SecondWatcherError("another watcher runs here") from None
        yield
    finally:
        os.close(fd)
