"""How long each view of the monitor's page takes, with 50 hosts and 60 days of history.

Fills a store by SQL: minutes, hours and days of each host, its disk and the site, 240 releases that
were deployed to all hosts, 500 incidents, looks and releases as large as real ones. Then loads each
view through gunicorn on loopback, one after the other. Prints one table; the exit code is 1 if a
view exceeds its limit.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

from cartwheel.host.wire.codec import from_disk, to_json
from cartwheel.host.wire.look import DiskLook, ReleaseLook
from cartwheel.runs.lines import as_line
from cartwheel.runs.record import Record
from cartwheel_monitor import database, remembered
from cartwheel_monitor.incidents import Incident, Member
from cartwheel_monitor.places import Places
from cartwheel_monitor.store import DATABASE
from cartwheel_monitor.subjects import KINDS, Subject
from tests.kit import monitored
from tests.kit.ending import clean_up_when_ended
from tests.kit.monitored import Filled
from tests.kit.served import Served, served

LIMIT_MS = 200.0
DAYS = 60
DEPLOYS = 4  # a day
INCIDENTS = 500
OPEN = 5
PACKAGES, SETTINGS = 120, 80
METRICS = "m3trics"
LOADS = 20
_HOUR = 3600.0


@dataclass(frozen=True)
class Took:
    """The loads of one view, in milliseconds, and the size of its HTML."""

    view: str
    times: tuple[float, ...]
    size: int

    @property
    def is_over(self) -> bool:
        return max(self.times) > LIMIT_MS


def main() -> int:
    clean_up_when_ended()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hosts", type=int, default=50)
    options.add_argument("--loads", type=int, default=LOADS, help="of each view")
    options.add_argument("--store", type=Path, help="a folder to fill, or one that was filled")
    chosen = options.parse_args()
    with ExitStack() as stack:
        folder = chosen.store or Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="cartwheel-page-", dir="/var/tmp")
            )
        )
        filled = fill(folder, [f"web{number}" for number in range(1, chosen.hosts + 1)])
        with served(filled.places, folder / "runs") as page:
            first = load(page, "/").times[0]
            every = [measure(page, view, chosen.loads) for view in views(page, folder / "runs")]
        store = filled.places.project(filled.app) / DATABASE
        print(f"the first load of a process: {first:.0f} ms; {store.stat().st_size / 1e6:.0f} MB\n")
        print(table(every))
    return int(any(one.is_over for one in every))


def table(every: Sequence[Took]) -> str:
    lines = ["| view | median, ms | worst, ms | KiB | |", "| --- | --- | --- | --- | --- |"]
    for one in every:
        middle, worst, note = statistics.median(one.times), max(one.times), "OVER" * one.is_over
        lines.append(f"| `{one.view}` | {middle:.0f} | {worst:.0f} | {one.size >> 10} | {note} |")
    return "\n".join(lines)


def views(page: Served, runs: Path) -> list[str]:
    """Addresses of all views, with the costly choices of each."""
    _status, listed = page.ask("/apps/shop/runs")
    run = re.findall(r'href="(/apps/shop/runs/[^"]+)"', listed)[0]
    record = next(runs.glob("*.jsonl")).stem
    return [
        *("/", "/apps/shop/", "/apps/shop/?span=6h", "/apps/shop/?span=7d"),
        *("/apps/shop/?span=60d", "/apps/shop/?span=60d&host=web1", "/apps/shop/runs", run),
        *("/apps/shop/releases", "/apps/shop/releases/compare", "/apps/shop/processes"),
        *("/incidents", "/incidents?page=8", "/incidents?kind=disk", "/incidents/shop/7"),
        *("/checks", "/runs", f"/runs/{record}", "/metrics"),
    ]


def measure(page: Served, view: str, loads: int) -> Took:
    """Once to warm up; then the loads that are timed."""
    load(page, view)
    every = [load(page, view) for _ in range(loads)]
    return Took(view, tuple(one.times[0] for one in every), every[-1].size)


def load(page: Served, view: str) -> Took:
    began = time.perf_counter()
    status, body = page.ask(view, Authorization=f"Bearer {METRICS}")
    took = (time.perf_counter() - began) * 1000
    assert status == HTTPStatus.OK, (view, status)
    return Took(view, (took,), len(body.encode()))


# Filling


def fill(folder: Path, hosts: Sequence[str]) -> Filled:
    """A store in that folder; one that is there already is taken as it is."""
    now = time.time()
    done = folder / "filled.json"
    if done.exists():
        return known(folder, json.loads(done.read_text()))
    say("hours, days, and 240 releases")
    levels = ("hours", "days")
    filled = monitored.fill(folder, now, hosts=hosts, days=DAYS, levels=levels, deploys=DEPLOYS)
    for number, place in enumerate(monitored.fill_slowly(filled, "minutes", now, DAYS)):
        if number % 5 == 0:
            say(f"minutes of {place or 'the site'}, {number} of {len(hosts) + 1}")
    say(f"{INCIDENTS} incidents, and what hosts say")
    for number in range(1, INCIDENTS + 1):
        monitored.note(filled, incident(number, hosts, now), ("shop is down", "ops", now, ""))
    enlarge(filled, now)
    listed = filled.places.lists / f"{filled.app}.json"
    listed.write_text(json.dumps({**json.loads(listed.read_text()), "metrics": METRICS}))
    record(folder / "runs", hosts)
    done.write_text(json.dumps({"hosts": list(hosts), "releases": filled.releases}))
    return filled


def known(folder: Path, written: dict[str, list[str]]) -> Filled:
    places = Places(folder / "watch.d", folder / "shared")
    hosts, releases = (tuple(written[name]) for name in ("hosts", "releases"))
    places.status.touch()
    return Filled(places, "shop", hosts, "https://shop.example.org/healthz", releases)


def incident(number: int, hosts: Sequence[str], now: float) -> Incident:
    """One every three hours; the last are open."""
    kind = sorted(KINDS)[number % len(KINDS)]
    began = now - (INCIDENTS - number) * DAYS * 24 * _HOUR / INCIDENTS - 60
    host = hosts[number % len(hosts)]
    subject = Subject(kind, "shop", host, "/")
    member = Member(subject, began, "a problem in some words of the host", frozenset([host]))
    over = number <= INCIDENTS - OPEN
    return Incident(
        number, kind, "shop", began, began, {} if over else {subject: member},
        (member,) if over else (), told=began + 30, ended=began + 600 if over else None,
    )  # fmt: skip


def enlarge(filled: Filled, now: float) -> None:
    """Looks and releases as large as real ones: two applications on a host, many packages."""
    for host in filled.hosts:
        look = monitored.look_at(filled, host, now - 5)
        assert look.seen is not None
        (app,) = look.seen.apps
        app = replace(app, processes=app.processes * 2, timers=app.timers * 2)
        disks = (*look.seen.disks, DiskLook("/srv", 1 << 40, 1 << 39, 10**8, 10**7))
        seen = replace(look.seen, apps=(app, replace(app, app="blog")), disks=disks)
        look = replace(look, seen=seen)
        monitored.keep(filled, f"{remembered.LOOK}{host}", remembered.look_text(look, look))
    with monitored.opened(filled) as db, database.transaction(db):
        for name, text in db.execute("SELECT release, data FROM releases").fetchall():
            made = from_disk(ReleaseLook, json.loads(text))
            packages = {f"package-{number}": f"{number}.0" for number in range(PACKAGES)}
            settings = {f"part.setting_{number}": f"{number:016x}" for number in range(SETTINGS)}
            larger = replace(
                made,
                packages={**packages, **made.packages},
                settings={**settings, **made.settings},
            )
            db.execute(
                "UPDATE releases SET data = ? WHERE release = ?",
                (json.dumps(to_json(larger)), name),
            )


def record(folder: Path, hosts: Sequence[str]) -> None:
    """An operator's record of a deploy to all hosts."""
    folder.mkdir()
    one = Record(folder, {"word": "deploy", "project": "/p", "hosts": list(hosts), "message": ""})
    one.write(as_line(type="run", app="shop", environment="", hosts=list(hosts), who="ann"))
    for host in hosts:
        for step in ("upload", "install", "check", "switch", "confirm"):
            fields = {"host": host, "step": step, "detail": "", "seconds": 1.5}
            one.write(as_line(type="event", state="done", **fields))
    ended = [
        {"host": host, "outcome": "deployed", "serves": "1.1", "before": "1.0", "seconds": 9}
        for host in hosts
    ]
    result = {"word": "deploy", "exit": 0, "seconds": 75.0, "hosts": ended, "errors": []}
    one.close(as_line(type="result", **result))


def say(what: str) -> None:
    print(f"filling: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
