"""A monitor's files as its watcher leaves them, filled by hand: for tests of its page."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import (
    AppLook,
    DiskLook,
    HostLook,
    ProcessLook,
    ReleaseLook,
    Requests,
    TimerLook,
)
from cartwheel_monitor import database, records, remembered, rows, schema
from cartwheel_monitor.incidents import Incident
from cartwheel_monitor.observations import Look, Probe
from cartwheel_monitor.places import Places
from cartwheel_monitor.store import DATABASE

Values = dict[str, float]
DAY = 86400
GIB = 1 << 30


@dataclass(frozen=True)
class Filled:
    """What was written. `releases`: oldest first; the last is live."""

    places: Places
    app: str
    hosts: tuple[str, ...]
    url: str
    releases: tuple[str, ...]


def fill(
    folder: Path,
    now: float,
    *,
    app: str = "shop",
    hosts: Sequence[str] = ("web1", "web2"),
    days: int = 3,
    levels: Sequence[str] = ("minutes", "hours", "days"),
    seed: int = 1,
    deploys: int = 1,
) -> Filled:
    """Write a project's list, and a store with so many days up to `now`: ten requests a second on
    each host, one in a thousand failed; so many deploys each day at the same hours."""
    places = Places(folder / "watch.d", folder / "shared")
    places.lists.mkdir(parents=True, exist_ok=True)
    url = f"https://{app}.example.org/healthz"
    known = {
        "project": app,
        "sites": [{"app": app, "url": url, "hosts": list(hosts)}],
        "hosts": [{"name": one, "address": "192.0.2.1", "apps": [app]} for one in hosts],
    }
    (places.lists / f"{app}.json").write_text(json.dumps(known))
    releases = tuple(
        f"1.{number}.0.g{random.Random(number).getrandbits(48):012x}"
        for number in range(days * deploys)
    )
    store = places.project(app) / DATABASE
    store.parent.mkdir(parents=True, exist_ok=True)
    db = database.connect(store)
    with database.transaction(db):
        for level in levels:
            _fill_level(db, level, app, ("", *hosts), url, now - days * DAY, now, seed)
        sums = ", ".join(schema.SUMS)
        added = ", ".join(f"sum({name})" for name in schema.SUMS)
        db.execute(
            f"INSERT INTO {schema.TOTALS} (subject, {sums})"  # noqa: S608 - our names
            f" SELECT subject, {added} FROM {levels[-1]} GROUP BY subject"
        )
        looks = [_look(app, host, now, releases, days) for host in hosts]
        for one in looks:
            _keep(db, f"{remembered.LOOK}{one.host}", remembered.look_text(one, one))
        probe = Probe(app, now - 5, 200, 0.083, "", url, now + 60 * DAY, now - 30 * DAY)
        _keep(db, f"{remembered.PROBE}{url}", remembered.probe_text(probe))
        for number, release in enumerate(releases):
            at = now - (len(releases) - number) * DAY / deploys + 3600
            seq, version = 3 * number, f"1.{number}"
            for host in hosts:
                _entry(db, app, host, Entry(seq + 1, at - 9, "deploy", release, who="ann"))
                done = Entry(
                    seq + 2, at, "deploy", release, version, "confirmed", "ann", "new prices"
                )
                _entry(db, app, host, done)
            made = json.dumps(to_json(_release(number, release)))
            db.execute("INSERT INTO releases VALUES (?, ?, ?, ?)", (app, release, at, made))
    db.close()
    said = {"format": 1, "time": now, "problems": [], "targets": [], "open": [], "silences": []}
    places.status.write_text(json.dumps(said))
    return Filled(places, app, tuple(hosts), url, releases)


def opened(filled: Filled) -> closing[sqlite3.Connection]:
    """Its database, to write."""
    return closing(database.connect(filled.places.project(filled.app) / DATABASE))


def fill_slowly(filled: Filled, level: str, now: float, days: int) -> Iterator[str]:
    """One level more, of many rows: host by host, each name as it begins."""
    for place in ("", *filled.hosts):
        yield place
        with opened(filled) as db, database.transaction(db):
            since = now - days * DAY
            _fill_level(db, level, filled.app, (place,), filled.url, since, now, seed=1)


def look_at(filled: Filled, host: str, at: float) -> Look:
    """An answer of a host that is well."""
    found = _look(filled.app, host, at, filled.releases, len(filled.releases))
    return replace(found, at=at)


def keep(filled: Filled, key: str, text: str) -> None:
    with opened(filled) as db:
        _keep(db, key, text)


def add_entry(filled: Filled, host: str, entry: Entry) -> None:
    """A line of the host's journal."""
    with opened(filled) as db:
        _entry(db, filled.app, host, entry)


def grow(filled: Filled, at: float, requests: int = 20, failed: int = 1) -> None:
    """A site was asked and each host looked into once more, as the watcher keeps it: so many
    requests on each host, one in ten of which took 0.4 s and the others 0.04 s."""
    slow = requests // 10
    counted = Requests(
        20.0, requests, failed, (requests - slow, 0, 0, 0, slow, *[0] * 9),
        0.4 * slow + 0.04 * (requests - slow),
    )  # fmt: skip
    probe = Probe(filled.app, at, 200, 0.083, "", filled.url, at + 60 * DAY, at - 30 * DAY)
    with opened(filled) as db:
        every = [rows.of_probe(probe)]
        with database.transaction(db):
            for host in filled.hosts:
                look = look_at(filled, host, at)
                assert look.seen is not None
                apps = tuple(replace(one, requests=counted) for one in look.seen.apps)
                look = replace(look, seen=replace(look.seen, apps=apps))
                every += rows.of_look(look, None)
                _keep(db, f"{remembered.LOOK}{host}", remembered.look_text(look, look))
            _keep(db, f"{remembered.PROBE}{filled.url}", remembered.probe_text(probe))
            database.add(db, database.Subjects(db), every)


def note(filled: Filled, one: Incident, *told: tuple[str, str, float | None, str]) -> None:
    """An incident; `told`: (news, messenger, done, problem) of each message about it."""
    data = json.dumps(records.of_incident(one))
    with opened(filled) as db:
        row = (one.number, one.kind, one.app, one.began, one.ended, data)
        db.execute("INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?, ?, ?)", row)
        for news, messenger, done, problem in told:
            title = json.dumps({"title": news, "body": "", "mood": "failure"})
            found = db.execute(
                "INSERT INTO news (at, number, data) VALUES (?, ?, ?)",
                (one.began + 30, one.number, title),
            )
            db.execute(
                "INSERT INTO deliveries VALUES (?, ?, 1, ?, ?)",
                (found.lastrowid, messenger, done, problem),
            )


def _fill_level(
    db: sqlite3.Connection,
    level: str,
    app: str,
    places: Sequence[str],
    url: str,
    since: float,
    until: float,
    seed: int,
) -> None:
    """Of hosts, and of the site: ""."""
    span = schema.LEVELS[level]
    looks = max(1, span // 20)
    subjects = database.Subjects(db)
    site: Values = {"looks": looks, "bad": 0, "probe_seconds": 0.08 * looks, "probe_longest": 0.4}
    whole: Values = {"looks": looks, "bad": 0, "load": 0.7, "cpus": 4}
    whole |= {"memory": 8 * GIB, "memory_available": 4 * GIB}
    disk: Values = {"size": 200 * GIB, "free": 90 * GIB, "inodes": 10**7, "free_inodes": 9 * 10**6}
    chance = random.Random(seed)
    for host in places:
        requests = 10 * span
        times = [0] * len(schema.TIMES)
        times[0], times[1], times[4] = requests * 8 // 10, requests // 10, requests // 20
        times[9] = requests - sum(times)
        of_app: Values = {"looks": looks, "bad": 0, "down": 0, "restarts": 0, "seconds": span}
        of_app |= {"requests": requests, "failed": requests // 1000}
        of_app |= {"memory_used": (300 + chance.randint(0, 50)) << 20}
        of_app |= dict(zip(schema.TIMES, times, strict=True))
        every = [(app, "", url, site)] if not host else [
            (app, host, "", of_app), ("", host, "", whole), ("", host, "/", disk)
        ]  # fmt: skip
        for one, of_host, about, values in every:
            names = ", ".join(values)
            db.execute(
                f"WITH RECURSIVE times(at) AS (SELECT ? UNION ALL SELECT at + {span} FROM times"  # noqa: S608 - our names
                f" WHERE at + {span} < ?) INSERT INTO {level} (subject, at, {names})"
                f" SELECT ?, at, {', '.join('?' * len(values))} FROM times",
                (int(since) // span * span, until, subjects.number(one, of_host, about),
                 *values.values()),
            )  # fmt: skip


def _look(app: str, host: str, now: float, releases: Sequence[str], days: int) -> Look:
    processes = (
        ProcessLook("web", "web", "active", "success", 0, now - DAY, 300 << 20),
        ProcessLook("worker", "1", "active", "success", 0, now - DAY, 100 << 20),
    )
    timers = (TimerLook("report", "done", "", days, now - 3600),)
    seen = HostLook(
        protocol=1, time=now, cpus=4, load=0.7, memory=8 * GIB, memory_available=4 * GIB,
        disks=(DiskLook("/", 200 * GIB, 90 * GIB, 10**7, 9 * 10**6),),
        apps=(AppLook(app, releases[-1], since=now - DAY + 3600, front="", processes=processes,
                      timers=timers, until=now + 60 * DAY),),
    )  # fmt: skip
    return Look(host, now - 7, seen, "", 0.031)


def _release(day: int, release: str) -> ReleaseLook:
    return ReleaseLook(
        release=release, version=f"1.{day}.0", commit=f"{day:07x}", created="", who="ann",
        message="new prices", python="3.11.2",
        packages={"flask": "3.1.3", "shop": f"1.{day}.0", **({"redis": "5.0"} if day else {})},
        settings={"gunicorn.workers": str(day), "web.listen": "a"},
        variables={"SECRET_KEY": "x", "LOG_FORMAT": str(day % 2)},
        files={}, processes={"worker": "celery -A shop worker"}, timers={"report": "0 2 * * *"},
    )  # fmt: skip


def _keep(db: sqlite3.Connection, key: str, text: str) -> None:
    db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (key, text))


def _entry(db: sqlite3.Connection, app: str, host: str, entry: Entry) -> None:
    row = (app, host, entry.seq, entry.at, json.dumps(to_json(entry)))
    db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row)
