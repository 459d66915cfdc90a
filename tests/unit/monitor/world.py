"""A made-up fleet as a monitor sees it: daily traffic, backups, log rotation, deploys, reports, and
the small failures of every day. Everything follows from a seed and the time."""

from __future__ import annotations

import functools
import heapq
import json
import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import (
    BOUNDS,
    AppLook,
    DiskLook,
    HostLook,
    ProcessLook,
    Requests,
    TimerLook,
)
from cartwheel_monitor import records
from cartwheel_monitor.incidents import Told
from cartwheel_monitor.judge import Judge, Watched
from cartwheel_monitor.observations import History, Look, Probe, Usual
from cartwheel_monitor.past import PART_SECONDS, Span, usual_from

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
START = 1_790_000_000.0 // DAY * DAY
EVERY = 20.0
GIB = 1 << 30
SIZE = 200 * GIB
LIFE = 90 * DAY


@dataclass(frozen=True)
class Deploy:
    """One of a day: when it begins, and how long each host is away from the others."""

    begins: float
    release: str
    apart: float

    def ends(self, place: int) -> float:
        return self.begins + 40.0 + self.apart * place


@dataclass(frozen=True)
class World:
    """`hosts` by app; no host has two apps."""

    seed: int = 1
    apps: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"shop": ("web1", "web2", "web3"), "blog": ("web4",)}
    )
    rates: Mapping[str, float] = field(default_factory=lambda: {"shop": 6.0, "blog": 0.4})

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(host for hosts in self.apps.values() for host in hosts)

    @property
    def watched(self) -> Watched:
        apps = {app: frozenset(hosts) for app, hosts in self.apps.items()}
        return Watched(frozenset(self.hosts), apps)

    def chance(self, *about: object) -> random.Random:
        return random.Random(f"{self.seed} {about}")

    def deploys(self, app: str, day: int) -> tuple[Deploy, ...]:
        """Of some days none; sometimes one host first, the others minutes later."""
        return _deploys(self.seed, app, day)

    def probe(self, app: str, at: float) -> Probe:
        chance = self.chance("probe", app, at)
        until = self._until(at)
        if self.is_closed(app, at):
            return Probe(app, at, 503, 0.05, "it answers with 503", until=until,
                         valid_from=until - LIFE)  # fmt: skip
        if chance.random() < 0.002:
            return Probe(app, at, None, 5.0, "no answer within 5 s")
        return Probe(app, at, 200, chance.expovariate(10), until=until, valid_from=until - LIFE)

    def is_closed(self, app: str, at: float) -> bool:
        """Each Sunday for ten minutes."""
        day, second = divmod(at - START, DAY)
        return day % 7 == 6 and app == "shop" and 4 * HOUR <= second < 4 * HOUR + 10 * MINUTE

    def look(self, host: str, at: float, since: float) -> Look:
        """`since`: when the last look was answered."""
        chance = self.chance("look", host, at)
        took = 0.05 + chance.expovariate(5)
        if chance.random() < 0.001:
            return Look(host, at, None, "no answer within 5 s", 5.0)
        app = next(name for name, hosts in self.apps.items() if host in hosts)
        seen = HostLook(
            protocol=1,
            version="1",
            time=at - took / 2 + self.chance("clock", host).uniform(-5, 5),
            booted=START - 30 * DAY,
            cpus=4,
            load=chance.uniform(0, 3),
            memory=8 * GIB,
            memory_available=int(8 * GIB * self._memory(host, at)),
            disks=self._disks(host, at),
            apps=(self._app(app, host, at, since),),
            cursor=f"{at}",
        )
        return Look(host, at, seen, "", took)

    def _until(self, at: float) -> float:
        """Renewed when a third of its life is left."""
        renewed = START - 20 * DAY
        while at > renewed + LIFE * 2 / 3:
            renewed += LIFE * 2 / 3
        return renewed + LIFE

    def _memory(self, host: str, at: float) -> float:
        """At the backup there is little; now and then, for a moment, hardly any."""
        chance = self.chance("memory", host, int(at // EVERY))
        if chance.random() < 0.0005:
            return 0.045
        return chance.uniform(0.12, 0.2) if self._backup(host, at) else chance.uniform(0.3, 0.5)

    def _backup(self, host: str, at: float) -> float:
        """How much of the nightly backup is there, of 1: it comes within 40 minutes, and goes."""
        day, second = divmod(at - START, DAY)
        begins = 2.5 * HOUR + self.chance("backup", host, day).uniform(0, 15 * MINUTE)
        part = (second - begins) / (40 * MINUTE)
        return min(part, 1.0) if 0 <= part < 1.6 else 0.0

    def _disks(self, host: str, at: float) -> tuple[DiskLook, ...]:
        day, _second = divmod(at - START, DAY)
        logs = 1.5 * GIB * (((at - START) / DAY + 3) % 7)  # rotated each week
        backup = self._backup(host, at) * self.chance("size", host, day).uniform(24, 30) * GIB
        grown = 0.2 * GIB * (at - START) / DAY
        noise = self.chance("disk", host, int(at // EVERY)).uniform(0, 0.3) * GIB
        free = int(60 * GIB - logs - backup - grown - noise)
        return (
            DiskLook("/", SIZE, free, 10_000_000, 8_000_000),
            DiskLook("/boot", GIB, GIB // 3, 65536, 65000),
        )

    def _app(self, app: str, host: str, at: float, since: float) -> AppLook:
        chance = self.chance("app", app, host, at)
        place = self.apps[app].index(host)
        now, locked, entries, began = "1.0", False, [], START - DAY
        today = int((at - START) // DAY)
        for day in (today - 1, today):
            for place_of_day, one in enumerate(self.deploys(app, day)):
                ends = one.ends(place)
                locked |= one.begins + one.apart * place - 20 <= at < ends + 5
                if at >= ends - 10:
                    now, began = one.release, ends - 10
                if since < ends <= at:
                    entries.append(_deployed(day * 10 + place_of_day, ends, one.release))
        if now == "1.0":
            now, began = self._before(app, today - 2)
        crashes = self._crashed(host, at)
        starting = locked and chance.random() < 0.3
        active = "activating" if starting or at - crashes[1] < 15 else "active"
        count = crashes[0]
        closed = self.is_closed(app, at)
        return AppLook(
            app=app,
            release=now,
            version=now,
            since=began,
            locked=locked,
            closed=closed,
            front="" if not closed else "503",
            processes=(
                ProcessLook("web", "web", active, "success", count, at - 3, 300 << 20),
                ProcessLook("worker", "1", "active", "success", 0, began, 100 << 20),
            ),
            timers=(self._timer(at),),
            entries=tuple(entries),
            requests=self.requests(app, host, at, at - since),
            until=self._until(at),
            valid_from=self._until(at) - LIFE,
        )

    def _before(self, app: str, day: int) -> tuple[str, float]:
        while day >= 0:
            found = self.deploys(app, day)
            if found:
                return found[-1].release, found[-1].begins + 40
            day -= 1
        return "1.0", START - DAY

    def _crashed(self, host: str, at: float) -> tuple[int, float]:
        """How often systemd started it again, and when last: every third day once."""
        today = int((at - START) // DAY)
        happened = [one for one in _crashes(self.seed, host, today) if one <= at]
        return len(happened), (happened[-1] if happened else 0.0)

    def _timer(self, at: float) -> TimerLook:
        day, second = divmod(at - START, DAY)
        number = int(day) + (second >= 2 * HOUR)
        running = 2 * HOUR <= second < 2 * HOUR + 20 * MINUTE
        late = 2 * HOUR <= second < 2 * HOUR + 90
        due = START + day * DAY + 2 * HOUR if late else None
        return TimerLook("report", "running" if running else "done", "", number, at, due)

    def requests(self, app: str, host: str, at: float, seconds: float) -> Requests:
        """More by day, few by night; at two a report that makes one of thirty requests slow; a
        crawler that meets one broken page, at times."""
        chance = self.chance("requests", app, host, at)
        hour = ((at - START) % DAY) / HOUR
        rate = self.rates[app] * (0.15 + 0.85 * math.sin(math.pi * hour / 24) ** 2)
        count = _about(rate * seconds, chance)
        times = [0] * (len(BOUNDS) + 1)
        report = 2 <= hour < 2.3
        for place, share in ((0, 0.45), (1, 0.3), (2, 0.15), (4, 0.08)):
            times[place] = _about(count * share, chance)
        slow = _about(count * (0.035 if report else 0.01), chance)
        times[10] += slow
        times[6] += _about(count * 0.01, chance)
        failed = _about(count * 0.001, chance)
        if chance.random() < 0.002:
            failed += chance.randint(1, 4)
        whole = max(sum(times), failed)
        times[0] += whole - sum(times)
        return Requests(seconds, whole, failed, tuple(times))


def _deployed(seq: int, at: float, release: str) -> Entry:
    return Entry(seq, at, "deploy", release, result="confirmed", who="ann")


@functools.lru_cache(maxsize=1000)
def _deploys(seed: int, app: str, day: int) -> tuple[Deploy, ...]:
    if day < 0:
        return ()
    chance = random.Random(f"{seed} deploys {app} {day}")
    found: list[Deploy] = []
    for number in range(chance.choice((0, 1, 1, 2))):
        begins = START + day * DAY + (9 + 4 * number) * HOUR + chance.uniform(0, 2 * HOUR)
        apart = chance.choice((0.0, 15.0, 15.0, 240.0))
        found.append(Deploy(begins, f"1.{day}.{number}", apart))
    return tuple(found)


@functools.lru_cache(maxsize=1000)
def _crashes(seed: int, host: str, until: int) -> tuple[float, ...]:
    found: list[float] = []
    for day in range(until + 1):
        chance = random.Random(f"{seed} crash {host} {day}")
        if chance.random() < 0.3:
            found.append(START + day * DAY + chance.uniform(0, DAY))
    return tuple(found)


def _about(mean: float, chance: random.Random) -> int:
    return max(0, round(chance.gauss(mean, math.sqrt(max(mean, 0.01)))))


class Remembered:
    """A History of what was seen, in memory, by the same sums as the store's."""

    def __init__(self) -> None:
        self._spans: dict[tuple[str, str, float], dict[int, Span]] = {}
        self._known: dict[tuple[str, str, int], Usual] = {}

    def add(self, look: Look) -> None:
        for app in look.seen.apps if look.seen else ():
            for host in (look.host, ""):
                for seconds in (HOUR, PART_SECONDS):
                    spans = self._spans.setdefault((app.app, host, seconds), {})
                    _add(spans, int(look.at // seconds), seconds, app.requests or Requests())

    def usual(self, app: str, host: str, at: float) -> Usual:
        hour = int(at // HOUR)
        key = (app, host, hour)
        if key not in self._known:
            hours = self._spans.get((app, host, HOUR), {})
            fresh = [one for number, one in hours.items() if hour - 24 * 7 <= number < hour]
            parts = self._spans.get((app, host, PART_SECONDS), {})
            same = [
                parts[number]
                for day in range(1, 8)
                for number in range((hour - 24 * day) * 6, (hour - 24 * day) * 6 + 6)
                if number in parts
            ]
            self._known[key] = usual_from(fresh, same, at)
        return self._known[key]

    def disk(self, host: str, path: str, until: float) -> tuple[tuple[float, float], ...]:
        return ()


def _add(spans: dict[int, Span], number: int, seconds: float, more: Requests) -> None:
    was = spans.get(number, Span(number * seconds, 0, 0, (0,) * (len(BOUNDS) + 1)))
    times = tuple(map(sum, zip(was.times, more.times, strict=True))) if more.times else was.times
    spans[number] = Span(was.at, was.count + more.count, was.failed + more.failed, times)


@dataclass(frozen=True)
class Lived:
    """A fleet that has run for days: its usual shares and times, and its disks."""

    world: World
    days: float = 3.0

    def usual(self, app: str, host: str, at: float) -> Usual:
        hour = int((at - START) % DAY // HOUR)
        return Usual(0.001, 1.5 if hour == 2 else 0.4)  # the report

    def disk(self, host: str, path: str, until: float) -> tuple[tuple[float, float], ...]:
        if path != "/":
            return ()
        begins = until - self.days * DAY
        return tuple((begins + step * 600, self._free(host, begins + step * 600))
                     for step in range(int(self.days * 144)))  # fmt: skip

    def _free(self, host: str, at: float) -> float:
        return float(self.world._disks(host, at)[0].free)


@dataclass(frozen=True)
class News:
    """What people were told."""

    at: float
    what: str
    kind: str
    places: frozenset[str]
    told: Told = field(compare=False, repr=False)

    @property
    def text(self) -> str:
        return f"{self.what} {self.kind}"


def live(
    world: World,
    begins: float,
    ends: float,
    *,
    history: History | None = None,
    look: Callable[[Look], Look] = lambda one: one,
    probe: Callable[[Probe], Probe] = lambda one: one,
    restarts: Iterable[float] = (),
    apps: Iterable[str] | None = None,
) -> list[News]:
    """Watch the fleet from then to then, as the monitor's loop does; `look` and `probe` change what
    is seen. `restarts`: when the monitor is started anew."""
    remembered = history or Remembered()
    judge = Judge(world.watched, history=remembered)
    due: list[tuple[float, str, str]] = []
    for number, host in enumerate(world.hosts):
        heapq.heappush(due, (begins + number * EVERY / len(world.hosts), "look", host))
    for number, app in enumerate(world.apps if apps is None else apps):
        heapq.heappush(due, (begins + 0.5 + number, "probe", app))
    answered = dict.fromkeys(world.hosts, begins - EVERY)
    found: list[News] = []
    again = sorted(restarts)
    while due[0][0] < ends:
        at, what, name = heapq.heappop(due)
        if again and at >= again[0]:
            again.pop(0)
            kept = json.loads(json.dumps(records.of_state(judge.state())))
            judge = Judge(world.watched, history=remembered, state=records.state(kept))
        if what == "look":
            seen = look(world.look(name, at, answered[name]))
            if seen.seen is not None:
                answered[name] = at
            if isinstance(remembered, Remembered):
                remembered.add(seen)
            judge.looked(seen)
            heapq.heappush(due, (judge.next_look(name, at, EVERY), what, name))
        else:
            judge.probed(probe(world.probe(name, at)))
            heapq.heappush(due, (judge.next_probe(name, "", at, EVERY), what, name))
        for told in judge.news(at):
            one = told.incident
            found.append(News(at, told.news, one.kind, one.places, told))
    return found


def changed(
    look: Look, app: Callable[[AppLook], AppLook] = lambda one: one, **host: object
) -> Look:
    """The look with its apps changed, and with other fields of the host."""
    if look.seen is None:
        return look
    apps = tuple(map(app, look.seen.apps))
    return replace(look, seen=replace(look.seen, apps=apps, **host))  # type: ignore[arg-type]  # a test
