"""The watcher's loop, with hosts that answer by SSH: no host is in the way of the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.wire.look import AppLook, DiskLook, HostLook, Requests, TimerLook
from cartwheel_monitor import key, past, remembered
from cartwheel_monitor.desk import Desk
from cartwheel_monitor.observations import Look
from cartwheel_monitor.places import Places
from cartwheel_monitor.store import DATABASE
from cartwheel_monitor.watch_list import Host, WatchList
from cartwheel_monitor.watcher import HostTarget, Watcher
from tests.unit.monitor.test_sessions import said, server

SHOP = AppLook("shop", "1.0.aa", front="")
Row = dict[str, Any]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path / "watch.d", tmp_path / "shared")
    found.lists.mkdir()
    key.public_line(found.key)
    return found


def watch(places: Places, project: str, *hosts: Host) -> None:
    listed = {
        "project": project,
        "every": 5,
        "hosts": [{**asdict(one), "apps": [project]} for one in hosts],
    }
    (places.lists / f"{project}.json").write_text(json.dumps(listed))


@contextmanager
def running(places: Places) -> Iterator[Watcher]:
    found = Watcher(places)
    thread = threading.Thread(target=found.run, daemon=True)
    thread.start()
    try:
        yield found
        assert thread.is_alive(), "the watcher has ended"
    finally:
        found.stop()
        thread.join(20)


def program(places: Places, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m cartwheel_monitor`, as `fab` runs it there."""
    return subprocess.run(
        [sys.executable, "-m", "cartwheel_monitor", *words],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "CARTWHEEL_SHARED": str(places.shared)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def row(places: Places, project: str, name: str, is_so: Callable[[Row], bool]) -> Row:
    """What `status` has of a host, as soon as it is so."""
    end, found = time.monotonic() + 20, Row()
    while time.monotonic() < end:
        if places.status.exists():
            rows = json.loads(places.status.read_text())["targets"]
            found = next((one for one in rows if (one["project"], one["name"]) == (project, name)),
                         found)  # fmt: skip
        if found and is_so(found):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


@pytest.mark.parametrize(
    "seen",
    [
        HostLook(time=float("inf")),
        HostLook(time=1.0, apps=(AppLook("shop", timers=(TimerLook("tick", due=-float("inf")),)),)),
        HostLook(time=1.0, disks=(DiskLook("/", 10**400, 1),)),
        HostLook(time=1.0, apps=(AppLook("shop", until=-float("inf")),)),
        HostLook(time=1.0, apps=(AppLook("shop", requests=Requests(20, 10**400, 10**400)),)),
    ],
    ids=["time", "due", "size", "until", "count"],
)
def test_an_answer_that_cannot_be_judged_is_a_failed_look(places: Places, seen: HostLook) -> None:
    """Also where the reader of answers lets it through."""
    web1, web2 = Host("web1", "192.0.2.1"), Host("web2", "192.0.2.2")
    watch(places, "shop", web1, web2)
    one = Watcher(places)
    one._read_lists(0.0)
    (desk,) = one._desks.values()
    for number in range(3):
        for host in desk.listed.hosts:
            found = seen if host.name == "web1" else HostLook(time=time.time(), apps=(SHOP,))
            target = HostTarget(host, 5.0)
            one._answers.put((target, Look(host.name, time.time() + number, found)))
    one._hear(0.2)
    desk.turn(time.time())
    desk.close()
    assert {subject.host for subject in desk.judge.down} == {"web1"}
    assert desk.looks["web1"].problem.startswith("its answer cannot be judged: ")
    assert desk.looks["web2"].problem == ""


def test_a_host_that_says_nonsense_is_one_that_does_not_answer(places: Places) -> None:
    with server(answer=said(time=float("inf"))) as bad, server(answer=said()) as good:
        watch(places, "shop", bad.host, Host(**{**vars(good.host), "name": "web2"}))
        with running(places):
            assert "number" in row(places, "shop", "web1", lambda one: one["at"])["detail"]
            assert row(places, "shop", "web2", lambda one: one["at"])["state"] == "well"


def test_two_projects_with_hosts_of_the_same_name(places: Places) -> None:
    """Each sees its own: here one of them is broken."""
    with server(answer=said()) as one, server(answer="nonsense") as other:
        watch(places, "shop", one.host)
        watch(places, "blog", other.host)
        with running(places):
            assert row(places, "shop", "web1", lambda one: one["at"])["state"] == "well"
            row(places, "blog", "web1", lambda one: one["state"] == "trouble")
            assert row(places, "shop", "web1", lambda one: one["at"])["state"] == "well"
        assert {"since 1/2", "state"} >= set(one.asked) - {""}
        assert set(other.asked) - {""} == {"state"}


def test_a_project_that_is_watched_no_more_is_forgotten(places: Places) -> None:
    with server(answer=said()) as served:
        for project in ("shop", "blog"):
            watch(places, project, served.host)
        with running(places):
            row(places, "shop", "web1", lambda one: one["at"])
            refused = program(places, "forget", "--project", "shop")
            assert (refused.returncode, refused.stderr) == (1, "shop is still watched here\n")
            (places.lists / "shop.json").unlink()
            done = program(places, "forget", "--project", "shop")
            assert json.loads(done.stdout) == {"forgotten": True}, done.stderr
            row(places, "blog", "web1", lambda one: one["at"])
        left = [one.name for one in (places.shared / "projects").iterdir()]
        assert left == ["blog"]
        assert program(places, "forget", "--project", "../shared").returncode == 1


def test_what_could_not_be_read_is_shown(places: Places) -> None:
    unread = {
        "units": "systemctl does not answer",
        "shop: requests": "/log cannot be read",
        "blog: requests": "/other cannot be read",
    }
    with server(answer=said(unread=unread)) as served:
        watch(places, "shop", served.host)
        with running(places):
            detail = str(row(places, "shop", "web1", lambda one: one["at"])["detail"])
    assert detail.split("; ")[1:] == [
        "not read: shop: requests: /log cannot be read",
        "not read: units: systemctl does not answer",
    ]


def test_halves_of_characters_hold_no_store_up(places: Places) -> None:
    half = "\ud800"
    app = {
        "app": "shop",
        "release": half,
        "problem": half,
        "front": half,
        "processes": [{"process": half, "label": half, "active": half, "result": half}],
        "timers": [{"name": half, "result": "failed", "detail": half}],
        "entries": [
            {"seq": 1, "kind": "deploy", "result": "failed", "release": half, "who": half},
            {"seq": 10**23, "kind": "deploy", "result": "confirmed", "release": half, "who": half},
        ],
        "live": {"release": half, "packages": {half: half}},
    }
    disk = {"path": half, "size": 9, "free": 1}
    answer = said(apps=[app], disks=[disk], unread={half: half}, version=half)
    with server(answer=answer) as served:
        watch(places, "shop", served.host)
        with running(places):
            row(places, "shop", "web1", lambda one: one["state"] == "trouble")
    path = places.project("shop") / DATABASE
    assert past.incidents(path, 10)
    known = json.loads(places.status.read_text())
    assert (known["problems"], known["project_problems"]) == ([], {"shop": []})
    with past.reading(path) as db:
        assert db.execute("SELECT count(*) FROM kept WHERE key = 'cursor:web1'").fetchone()[0] == 1
        assert db.execute("SELECT count(*) FROM raw").fetchone()[0] >= 3
        assert db.execute("SELECT count(*) FROM entries").fetchone()[0] == 2
        assert db.execute("SELECT count(*) FROM releases").fetchone()[0] == 1


def test_a_deploy_in_a_year_that_no_calendar_has_ends_nothing(places: Places) -> None:
    entries = [
        {"seq": 1, "kind": "deploy", "result": "confirmed", "release": "1", "who": "x", "at": 9e22},
        {"seq": 2, "kind": "deploy", "result": "failed", "release": "2", "who": "ann"},
    ]
    with server(answer=said(apps=[{"app": "shop", "entries": entries}])) as served:
        watch(places, "shop", served.host)
        one = Watcher(places)
        one._read_lists(0.0)
        desk = one._desks["shop"]
        seen = one._sessions.look(served.host, "", 10)
        desk.looked(served.host, Look("web1", time.time(), seen))
        desk.turn(time.time() + 60)
        desk.close()
        one._sessions.close()
    assert past.telling(places.project("shop") / DATABASE, 1) == []
    assert past.incidents(places.project("shop") / DATABASE, 1)


def test_a_host_that_is_down_at_a_start_keeps_what_it_said_before(places: Places) -> None:
    host = Host("web1", "192.0.2.1", apps=("shop",))
    listed = WatchList(project="shop", hosts=(host,))
    last = []
    for seen in (HostLook(time=1.0, apps=(SHOP,)), None, None):
        desk = Desk(listed, places)
        desk.looked(host, Look("web1", time.time(), seen, "" if seen else "no answer"))
        desk.close()
        kept = past.kept(places.project("shop") / DATABASE)
        last.append(remembered.last_looks(kept)["web1"])
    assert [one.problem for one in last] == ["", "no answer", "no answer"]
    assert [one.seen and one.seen.apps for one in last] == [(SHOP,)] * 3
    assert last[2].seen_at == last[0].seen_at < last[2].at
