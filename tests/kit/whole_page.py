"""Stores with everything that the monitor's page can show: for tests in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import AppLook, DiskLook, HostLook, ProcessLook, TimerLook
from cartwheel.runs.lines import as_line
from cartwheel.runs.record import Record
from cartwheel_monitor import records, remembered
from cartwheel_monitor.incidents import Incident, Member
from cartwheel_monitor.observations import Look, Probe
from cartwheel_monitor.places import Places
from cartwheel_monitor.quiet import Silence
from cartwheel_monitor.store import DATABASE
from cartwheel_monitor.subjects import KINDS, Subject
from tests.kit import monitored
from tests.kit.monitored import DAY, GIB, Filled
from tests.kit.served import Served

LONG = "a-project-with-a-name-that-is-as-long-as-names-can-be"
_WORDS = (
    "it answered 502 after 3.1 s: " + "upstream prematurely closed connection while reading " * 3
)


@dataclass(frozen=True)
class Whole:
    """What was written. `runs`: the folder of an operator's records."""

    places: Places
    shop: Filled
    blog: Filled
    runs: Path


@contextmanager
def whole_page(folder: Path, now: float) -> Iterator[Whole]:
    """`shop`: two hosts that are nearly well. `blog`: twelve with every trouble, and a run that
    works on them. A third project that nobody has looked at yet, and a list that is torn. One of
    the operator's runs goes on until the end."""
    shop = monitored.fill(folder, now)
    hosts = [f"blog-{number}.some-region.example.org" for number in range(1, 13)]
    blog = monitored.fill(folder, now, app="blog", hosts=hosts, days=4, levels=("minutes", "days"))
    long = monitored.fill(folder, now, app=LONG, hosts=["new"], days=1)
    (long.places.project(LONG) / DATABASE).unlink()
    (shop.places.lists / "torn.json").write_text("{")
    _shop(shop, now)
    _blog(blog, now)
    _status(shop, now)
    runs = folder / "runs"
    with _runs(runs):
        yield Whole(shop.places, shop, blog, runs)


def views(whole: Whole, page: Served) -> dict[str, str]:
    """The address of each view by its name, some with other contents too."""
    listed = page.ask("/apps/blog/runs")[1]
    run = re.findall(r'href="(/apps/blog/runs/[^"]+)"', listed)[0]
    ended, alive = sorted(one.stem for one in whole.runs.glob("*.jsonl"))
    return {
        "fleet": "/",
        "application": "/apps/blog/",
        "application of a host": "/apps/shop/?span=6h&host=web1",
        "application without anything": f"/apps/{LONG}/",
        "releases": "/apps/shop/releases",
        "compare": "/apps/shop/releases/compare",
        "runs": "/apps/blog/runs",
        "run": run,
        "processes": "/apps/blog/processes",
        "timers": "/apps/shop/processes",
        "incidents": "/incidents",
        "open incident": f"/incidents/blog/{len(KINDS) + 1}",
        "past incident": "/incidents/blog/1",
        "checks": "/checks",
        "records": "/runs",
        "record": f"/runs/{ended}",
        "record that goes on": f"/runs/{alive}",
        "failed": "/apps/nothing/",
    }


def _shop(filled: Filled, now: float) -> None:
    _list(filled, messengers={"ops": "json://x", "boss": "mailto://y"}, heartbeat="https://x")
    for host in filled.hosts:
        app, look = _app(filled, host, now)
        timers = (
            TimerLook("report", "failed", "it ended with 3", 12, now - 7200),
            TimerLook("clean-up", "done", "", 40, now - 90000, due=now - 3600),
            TimerLook("mail", "", "", 0, paused=True),
        )
        _say(filled, look, replace(app, timers=timers, frozen=host == "web1"))
    monitored.note(
        filled,
        incident(1, "certificate", "shop", "", now - 900, told=now - 870),
        ("the certificate of shop ends soon", "ops", None, "no answer"),
        ("the certificate of shop ends soon", "boss", now - 860, ""),
    )


def _blog(filled: Filled, now: float) -> None:
    _list(filled, limits={"disk_percent": 7.0})
    every = sorted(KINDS)
    for number, kind in enumerate(every, 1):
        began = now - DAY - 3000 * number
        over = incident(number, kind, "blog", filled.hosts[number % 12], began, ended=began + 600)
        monitored.note(filled, over, (f"{kind}!", "ops", began + 40, ""))
    first = len(every) + 1
    monitored.note(filled, incident(first, "site", "blog", "", now - 500, told=now - 470))
    monitored.note(filled, incident(first + 1, "disk", "", filled.hosts[2], now - 1000))
    probe = Probe("blog", now - 4, 502, 3.1, _WORDS, filled.url, now + 3 * DAY, now - 30 * DAY)
    monitored.keep(filled, f"{remembered.PROBE}{filled.url}", remembered.probe_text(probe))
    for number, host in enumerate(filled.hosts):
        app, look = _app(filled, host, now)
        if number == 0:
            gone = Look(host, now - 6, None, f"it does not answer: {_WORDS}", 5.0)
            monitored.keep(filled, f"{remembered.LOOK}{host}", remembered.look_text(gone, look))
            continue
        if number == 1:
            dead = ProcessLook("web", "web", "failed", "exit-code", 7, now - 300)
            app = replace(app, processes=(*app.processes, dead), front="it answered 502")
        if number == 2:
            app = replace(app, release=filled.releases[-2], closed=True, stopped=True, pending=True)
        if number >= 9:
            app = replace(app, locked=True, locked_since=now - 40)
            begun = Entry(
                900, now - 30, "deploy", "1.9.0.g0123456789ab", "1.9", "", "bob", "hotfix"
            )
            monitored.add_entry(filled, host, begun)
        _say(filled, look, app, is_short=number == 2)
    failed = Entry(
        901, now - 9000, "deploy", "1.8.0.g0123456789ab", "1.8", "failed", "ann@laptop", "try",
        reason="the health check failed: " + _WORDS,
    )  # fmt: skip
    monitored.add_entry(filled, filled.hosts[1], failed)


def incident(
    number: int,
    kind: str,
    app: str,
    host: str,
    began: float,
    *,
    told: float | None = None,
    ended: float | None = None,
) -> Incident:
    """One with a member."""
    subject = Subject(kind, app, host)
    member = Member(subject, began, f"what was seen: {_WORDS}", frozenset([host or "web1"]))
    members, past = ({subject: member}, ()) if ended is None else ({}, (member,))
    return Incident(
        number, kind, app, began, began + 20, members, past, told=told, ended=ended,
        release="1.2.0.g0123456789ab",
    )  # fmt: skip


def _app(filled: Filled, host: str, now: float) -> tuple[AppLook, Look]:
    look = monitored.look_at(filled, host, now - 6)
    assert look.seen is not None
    return look.seen.apps[0], look


def _say(filled: Filled, look: Look, app: AppLook, *, is_short: bool = False) -> None:
    seen = look.seen or HostLook()
    if is_short:
        full = DiskLook("/srv/a/long/path/of/a/file-system", GIB, 1 << 20, 100, 1, read_only=True)
        seen = replace(seen, disks=(*seen.disks, full), memory_available=1 << 26, load=40.0)
        seen = replace(seen, unread={"blog": "permission denied", "journal": "it is torn"})
    look = replace(look, seen=replace(seen, apps=(app,)))
    monitored.keep(filled, f"{remembered.LOOK}{look.host}", remembered.look_text(look, look))


def _list(filled: Filled, **fields: object) -> None:
    path = filled.places.lists / f"{filled.app}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def _status(shop: Filled, now: float) -> None:
    ops = {"name": "ops", "waiting": 2, "problem": "no answer", "since": now - 300, "given_up": 3}
    store = {"trouble": "", "since": 0.0, "lost": 4}
    itself = {
        "store": store,
        "messengers": [ops, {"name": "boss", "waiting": 0, "problem": "", "given_up": 0}],
        "heartbeat": {"at": now - 20, "problem": "it answered 503"},
    }
    quiet = Silence(now + 600, "a new switch", "ann@desk", "shop", "")
    said = {
        "format": 1,
        "time": now,
        "problems": ["the disk of the monitor is nearly full"],
        "project_problems": {"blog": ["its history is begun anew: it was torn"]},
        "targets": [],
        "open": [],
        "projects": {"shop": itself},
        "silences": [{"project": "shop", **records.of_silence(quiet)}],
    }
    shop.places.status.write_text(json.dumps(said))


@contextmanager
def _runs(folder: Path) -> Iterator[None]:
    folder.mkdir()
    _failed_run(folder)
    going = _begun(folder, "rollback")
    going.write(as_line(type="event", host="web1", step="switch", state="start", detail="",
                        seconds=None))  # fmt: skip
    try:
        yield
    finally:
        going.close(as_line(type="result", word="rollback", exit=0, seconds=3.0, hosts=[],
                            errors=[]))  # fmt: skip


def _begun(folder: Path, task: str) -> Record:
    about = {"word": task, "project": "/p", "hosts": ["web1", "web2"], "message": "new prices"}
    one = Record(folder, about)
    one.write(as_line(type="run", app="shop", environment="live", hosts=["web1"], who="ann@desk"))
    return one


def _failed_run(folder: Path) -> None:
    one = _begun(folder, "deploy")
    for step in ("upload", "install", "switch"):
        one.write(as_line(type="event", host="web1", step=step, state="done", detail="a detail",
                          seconds=1.5))  # fmt: skip
    hosts = [{"host": "web1", "outcome": "reverted", "serves": "1.0", "before": None, "seconds": 9}]
    log = "\n".join(["Traceback (most recent call last):", f"  {_WORDS * 3}", "SystemExit: 3"])
    errors = [{"host": "web1", "message": "it is not healthy", "hint": "See.", "detail": log}]
    one.close(as_line(type="result", word="deploy", exit=3, seconds=75.0, release="1.1",
                      hosts=hosts, errors=errors))  # fmt: skip
