from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cartwheel.hidden import Hidden
from cartwheel_monitor import records, remembered, summary
from cartwheel_monitor.desk import Desk
from cartwheel_monitor.page import names
from cartwheel_monitor.page.reading import checks, projects
from cartwheel_monitor.places import Places
from cartwheel_monitor.quiet import Silence
from cartwheel_monitor.store import DATABASE
from cartwheel_monitor.subjects import KINDS
from cartwheel_monitor.watch_list import WatchList
from tests.kit import monitored
from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import filled, let_in, page
from tests.unit.monitor.page.test_incidents import incident

__all__ = ["filled", "page"]

SECRET = "s3cr3t-address"


def shown(client: FlaskClient) -> str:
    answer = client.get("/checks")
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def list_with(filled: Filled, **fields: Any) -> None:
    path = filled.places.lists / "shop.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def say(filled: Filled, **fields: Any) -> None:
    said = json.loads(filled.places.status.read_text())
    filled.places.status.write_text(json.dumps({**said, **fields}))


def test_it_shows_sites_hosts_and_limits(page: FlaskClient, filled: Filled) -> None:
    list_with(filled, limits={"disk_percent": 7.0, "certificate_days": 3.0})
    text = shown(page)
    for part in (
        filled.url,
        "83 ms",
        "31 ms",
        "in 59 days",
        "45 %",
        "4.0 GiB",
        "90 %",
        "on 4 CPUs",
    ):
        assert part in text, part
    assert "7 %" in text and "3 days" in text and "7 seconds ahead" in text
    assert "nobody gets messages" in text and "monitor.heartbeat" in text


def test_no_part_of_a_secret_is_shown(page: FlaskClient, filled: Filled) -> None:
    list_with(
        filled,
        messengers={"ops": f"slack://{SECRET}/x", "boss": f"mailto://{SECRET}"},
        heartbeat=f"https://beat.example.org/{SECRET}",
        metrics=SECRET,
    )
    text = shown(page)
    assert "ops" in text and "boss" in text and "nothing is known yet" in text
    for part in (SECRET, "slack", "mailto", "beat.example.org"):
        assert part not in text


def test_it_says_whom_the_monitor_cannot_reach(page: FlaskClient, filled: Filled) -> None:
    list_with(filled, messengers={"ops": "json://x"}, heartbeat="https://x")
    now = time.time()
    ops = {"name": "ops", "waiting": 2, "problem": "no answer", "since": now - 300, "given_up": 3}
    beat = {"at": now - 20, "problem": "it answered with 503"}
    store = {"trouble": "", "since": 0.0, "lost": 4}
    say(
        filled,
        projects={"shop": {"store": store, "messengers": [ops], "heartbeat": beat}},
        problems=["a problem of its own", "its list x.json is not read: why"],
        project_problems={"shop": ["a problem of the shop"]},
    )
    monitored.note(filled, incident(1), ("shop does not answer!", "ops", None, "no answer"))
    monitored.note(filled, incident(2), ("long gone", "former", None, "no answer"))
    text = shown(page)
    for part in (
        *("no answer", "2 messages wait", "never heard of 3 messages", "it answered with 503"),
        *("shop does not answer!", "4 looks were never kept", "a problem of its own"),
        "a problem of the shop",
    ):
        assert part in text, part
    assert "long gone" not in text and "x.json" not in text


def test_silences_that_last_are_shown(page: FlaskClient, filled: Filled) -> None:
    now = time.time()
    every = [
        Silence(now + 600, "a new <switch>", "ann@desk", "shop", ""),
        Silence(now - 600, "long over", "bob@desk", "shop", ""),
    ]
    say(filled, silences=[{"project": "shop", **records.of_silence(one)} for one in every])
    text = shown(page)
    assert "a new &lt;switch&gt;" in text and "ann@desk" in text and "long over" not in text


@pytest.mark.parametrize("bad", ["{", '{"format": 99}', '{"hosts": 1}'])
def test_a_list_that_cannot_be_read_is_named(page: FlaskClient, filled: Filled, bad: str) -> None:
    (filled.places.lists / "blog.json").write_text(bad)
    text = shown(page)
    assert "blog.json" in text and filled.url in text


@pytest.mark.parametrize("damage", ["torn", "absent"])
def test_it_comes_without_a_store(filled: Filled, damage: str) -> None:
    store = filled.places.project("shop") / DATABASE
    store.unlink()
    if damage == "torn":
        store.write_bytes(b"no database at all" * 1000)
    text = shown(let_in(filled))
    assert "not looked at yet" in text and "not asked yet" in text
    assert ("cannot be read" in text) == (damage == "torn")


@pytest.mark.parametrize("text", ["", "[]", '{"projects": [], "silences": 3, "open": {}}'])
def test_it_comes_with_any_status(page: FlaskClient, filled: Filled, text: str) -> None:
    filled.places.status.write_text(text)
    assert filled.url in shown(page)
    assert page.get("/incidents").status_code == 200


def test_a_host_that_was_seen_long_ago_says_so(page: FlaskClient, filled: Filled) -> None:
    now = time.time()
    look = monitored.look_at(filled, "web1", now - 7200)
    assert look.seen is not None
    unread = {"shop: requests": "it cannot be read"}
    answered = replace(look, seen=replace(look.seen, unread=unread))
    silent = replace(look, at=now - 5, seen=None, problem="no answer")
    monitored.keep(filled, "look:web1", remembered.look_text(silent, answered))
    text = shown(page)
    assert "the rest is of 2 hours ago" in text and "shop: requests: it cannot be read" in text


def test_the_watcher_says_what_the_page_reads(tmp_path: Path) -> None:
    places = Places(tmp_path / "watch.d", tmp_path / "shared")
    listed = WatchList(project="shop", messengers={"ops": Hidden(f"json://{SECRET}")})
    desk = Desk(listed, places)
    try:
        said = summary.of([desk], {}, 0.0)
    finally:
        desk.close()
    assert SECRET not in json.dumps(said)
    project = projects.Project(listed, places.project("shop") / DATABASE)
    itself = checks.of_project(said, "shop")
    assert [replace(one, said=False) for one in checks.messengers(project, itself)] == [
        checks.MessengerCheck("ops")
    ]
    assert itself["heartbeat"] is None and isinstance(itself["store"], dict)


def test_every_kind_of_trouble_has_a_name() -> None:
    assert len({names.kind(one) for one in KINDS}) == len(KINDS)
