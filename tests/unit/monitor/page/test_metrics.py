from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from cartwheel.host.wire.look import BOUNDS, AppLook, DiskLook, HostLook, ProcessLook, TimerLook
from cartwheel_monitor import database, remembered, rows
from cartwheel_monitor.database import Keeping
from cartwheel_monitor.observations import Look
from cartwheel_monitor.page import metrics, site
from cartwheel_monitor.page.door_login import LoginDoor
from cartwheel_monitor.page.door_token import TokenDoor
from cartwheel_monitor.store import DATABASE, Store
from tests.kit import monitored
from tests.kit.monitored import DAY, Filled
from tests.unit.monitor.page.kit import filled
from tests.unit.monitor.page.test_incidents import incident

__all__ = ["filled"]

TOKEN = "0123456789abcdef-metrics"
PAGE_TOKEN = "0123456789abcdef-page"
DOCS = Path(__file__).parents[4] / "docs" / "metrics.md"

Labels = Mapping[str, str]


def give_token(filled: Filled, token: str = TOKEN, app: str = "shop") -> None:
    path = filled.places.lists / f"{app}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "metrics": token}))


@pytest.fixture
def client(filled: Filled) -> FlaskClient:
    """Of a Prometheus: it has no cookie."""
    give_token(filled)
    return site.create(filled.places, TokenDoor(PAGE_TOKEN)).test_client()


def scraped(client: FlaskClient, token: str = TOKEN) -> dict[str, Metric]:
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    text = answer.get_data(as_text=True)
    found = list(text_string_to_metric_families(text))
    every = [
        (one.name, tuple(sorted(one.labels.items()))) for each in found for one in each.samples
    ]
    assert len(every) == len(set(every)), "a sample twice"
    return {each.name: each for each in found}


def value(found: dict[str, Metric], name: str, **labels: str) -> float | None:
    """Of the only sample with these labels; None without one."""
    values = [
        one.value
        for each in found.values()
        for one in each.samples
        if one.name == name and labels.items() <= one.labels.items()
    ]
    assert len(values) <= 1, f"{name} {labels}: {values}"
    return values[0] if values else None


def look_like(filled: Filled, host: str, seen: HostLook, *, at: float, problem: str = "") -> None:
    one = Look(host, at, seen, "", 0.03)
    last = Look(host, time.time(), None, problem) if problem else one
    monitored.keep(filled, f"look:{host}", remembered.look_text(last, one))


# The door


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}"),
        *(TOKEN, f"Bearer {PAGE_TOKEN}", f"Bearer {TOKEN[:-1]}", "Bearer \xe9"),
    ],
)
def test_without_its_token_it_is_closed(client: FlaskClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert b"cartwheel_" not in answer.data


def test_no_other_door_opens_it(filled: Filled, client: FlaskClient) -> None:
    assert client.get(f"/?token={PAGE_TOKEN}").status_code == 302
    assert client.get("/").status_code == 200
    assert client.get("/metrics").status_code == 401, "the cookie of the page"
    assert client.get(f"/metrics?token={PAGE_TOKEN}").status_code == 401
    fresh = site.create(filled.places, TokenDoor(PAGE_TOKEN)).test_client()
    mine = {"Authorization": f"Bearer {TOKEN}"}
    assert fresh.get("/", headers=mine).status_code == 403, "its token opens no page"
    door = LoginDoor(filled.places.users, filled.places.page)
    login = site.create(filled.places, door).test_client()
    assert login.get("/metrics", headers=mine).status_code == 200
    assert login.get("/", headers=mine).status_code == 302


@pytest.mark.parametrize("token", ["", None])
def test_without_the_setting_nobody_comes_in(filled: Filled, token: str | None) -> None:
    if token is not None:
        give_token(filled, token)
    client = site.create(filled.places, TokenDoor(PAGE_TOKEN)).test_client()
    for header in ("", "Bearer ", "Bearer"):
        assert client.get("/metrics", headers={"Authorization": header}).status_code == 401


def test_a_token_shows_the_projects_that_have_it(filled: Filled, client: FlaskClient) -> None:
    folder = filled.places.lists.parent
    for app in ("blog", "wiki"):
        monitored.fill(folder, time.time(), app=app, days=1)
    give_token(filled, "another-token-of-16", "blog")
    give_token(filled, TOKEN, "wiki")

    def apps(token: str) -> set[str]:
        found = scraped(client, token)
        return {one.labels["app"] for each in found.values() for one in each.samples
                if "app" in one.labels}  # fmt: skip

    assert apps(TOKEN) == {"shop", "wiki"}
    assert apps("another-token-of-16") == {"blog"}


# What it says


def test_every_series_is_there_and_described(filled: Filled, client: FlaskClient) -> None:
    path = filled.places.lists / "shop.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "messengers": {"ops": "json://x"}}))
    said = json.loads(filled.places.status.read_text())
    beat, ops = {"at": 5.0, "problem": ""}, {"name": "ops", "waiting": 2, "given_up": 3}
    itself = {"store": {"lost": 4}, "messengers": [ops], "heartbeat": beat}
    filled.places.status.write_text(json.dumps({**said, "projects": {"shop": itself}}))
    found = scraped(client)
    names = {name + ("_total" if each.type == "counter" else "") for name, each in found.items()}
    assert names == {*metrics.GAUGES, *metrics.COUNTERS, metrics.HISTOGRAM}
    assert all(each.documentation for each in found.values())
    assert value(found, "cartwheel_messages_waiting", app="shop", messenger="ops") == 2
    assert value(found, "cartwheel_messages_given_up_total", messenger="ops") == 3
    assert value(found, "cartwheel_store_lost_looks_total", app="shop") == 4
    text = DOCS.read_text()
    assert [name for name in names if f"`{name}`" not in text] == []


def test_values_are_those_of_the_store(filled: Filled, client: FlaskClient) -> None:
    monitored.note(filled, incident(1))
    monitored.note(filled, incident(2, "disk", host="web2"))
    monitored.note(filled, incident(3, "slow", lasted=5))
    found, web1 = scraped(client), {"app": "shop", "host": "web1"}
    assert value(found, "cartwheel_site_up", app="shop", site=filled.url) == 1
    assert value(found, "cartwheel_site_probe_duration_seconds", site=filled.url) == 0.083
    until = value(found, "cartwheel_site_certificate_expiry_timestamp_seconds", site=filled.url)
    assert until is not None and abs(until - time.time() - 60 * DAY) < 60
    assert value(found, "cartwheel_host_up", **web1) == 1
    assert value(found, "cartwheel_disk_free_bytes", **web1, path="/") == 90 << 30
    assert value(found, "cartwheel_release_info", **web1, release=filled.releases[-1]) == 1
    assert value(found, "cartwheel_deploy_last_success", **web1) == 1
    assert value(found, "cartwheel_process_up", **web1, process="worker", slot="1") == 1
    assert value(found, "cartwheel_timer_last_success", **web1, timer="report") == 1
    assert value(found, "cartwheel_app_state", **web1, state="closed") == 0
    assert value(found, "cartwheel_incidents_open", app="shop", kind="site") == 1
    assert value(found, "cartwheel_incidents_open", app="shop", kind="disk") == 1
    assert value(found, "cartwheel_incidents_open", app="shop", kind="slow") == 0
    assert value(found, "cartwheel_watcher_up") == 1


def test_what_is_wrong_is_zero(filled: Filled, client: FlaskClient) -> None:
    now = time.time()
    app = AppLook(
        "shop", "2.0.0.gbbb", "2.0.0", now, closed=True, front="502",
        processes=(ProcessLook("web", "a", "failed", restarts=7),),
        timers=(TimerLook("report", "failed", due=now - 400), TimerLook("mail", "running"),
                TimerLook("rare", "", due=now - 400, paused=True)),
    )  # fmt: skip
    look_like(filled, "web1", HostLook(1, time=now + 90, apps=(app,)), at=now)
    look_like(filled, "web2", HostLook(1, time=now), at=now, problem="no answer")
    found, web1 = scraped(client), {"app": "shop", "host": "web1"}
    assert value(found, "cartwheel_front_up", **web1) == 0
    assert value(found, "cartwheel_process_up", **web1) == 0
    assert value(found, "cartwheel_process_restarts_total", **web1) == 7
    assert value(found, "cartwheel_timer_last_success", **web1, timer="report") == 0
    assert value(found, "cartwheel_timer_last_success", **web1, timer="mail") is None
    assert value(found, "cartwheel_timer_late_seconds", **web1, timer="report") == pytest.approx(
        490
    )
    assert value(found, "cartwheel_timer_late_seconds", **web1, timer="rare") == 0
    assert value(found, "cartwheel_app_state", **web1, state="closed") == 1
    assert value(found, "cartwheel_host_clock_offset_seconds", **web1) == pytest.approx(90, abs=1)
    assert value(found, "cartwheel_host_up", host="web2") == 0


def test_what_is_old_is_not_now(filled: Filled, client: FlaskClient) -> None:
    now = time.time()
    look_like(filled, "web1", HostLook(1, cpus=4), at=now - 400, problem="no answer")
    found = scraped(client)
    assert value(found, "cartwheel_host_up", host="web1") == 0
    assert value(found, "cartwheel_host_cpus", host="web1") is None
    assert value(found, "cartwheel_host_look_timestamp_seconds", host="web1") == now - 400
    look_like(filled, "web1", HostLook(1, cpus=4), at=now - 400)
    assert value(scraped(client), "cartwheel_host_up", host="web1") is None


def test_a_watcher_that_is_late_says_only_that(filled: Filled, client: FlaskClient) -> None:
    before = scraped(client)
    os.utime(filled.places.status, (time.time() - 90, time.time() - 90))
    found = scraped(client)
    assert value(found, "cartwheel_watcher_up") == 0
    assert value(found, "cartwheel_site_up") is None and "cartwheel_host_up" not in found
    for name in ("cartwheel_requests_total", "cartwheel_host_looks_total"):
        for host in filled.hosts:
            assert value(found, name, host=host) == value(before, name, host=host) != 0


@pytest.mark.parametrize("damage", ["torn", "absent", "older"])
def test_a_store_that_cannot_be_read_is_said(
    filled: Filled, client: FlaskClient, damage: str
) -> None:
    store = filled.places.project("shop") / DATABASE
    if damage == "older":
        with monitored.opened(filled) as db:
            db.execute("DROP TABLE totals")
    else:
        store.unlink()
        if damage == "torn":
            store.write_bytes(b"no database at all" * 1000)
    found = scraped(client)
    assert value(found, "cartwheel_store_up", app="shop") == (0 if damage == "torn" else 1)
    assert ("cartwheel_host_up" in found) == (damage == "older")
    assert "cartwheel_requests" not in found


def test_whatever_a_host_says_can_be_parsed(filled: Filled, client: FlaskClient) -> None:
    strange = 'a"b\\c\nd\ud800 {} é'
    disks = (DiskLook(strange, 1), DiskLook(strange, 2), DiskLook("/", 0))
    processes = (ProcessLook(strange, "1", "active"), ProcessLook(strange, "1", "failed"))
    now = time.time()
    app = AppLook("shop", strange, strange, processes=processes)
    seen = HostLook(1, time=now, load=math.inf, memory=-1, disks=disks, apps=(app,))
    look_like(filled, "web1", seen, at=now)
    found = scraped(client)
    [one] = [each for each in found["cartwheel_disk_size_bytes"].samples if each.value == 2]
    assert one.labels["path"] == strange.replace("\ud800", "?")


# Counters


def counters(found: dict[str, Metric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The samples that only grow."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for each in found.values()
        if each.type in ("counter", "histogram")
        for one in each.samples
        if "process" not in one.labels and "timer" not in one.labels
    }


def test_counters_grow_by_what_was_seen(filled: Filled, client: FlaskClient) -> None:
    before, now = counters(scraped(client)), time.time()
    monitored.grow(filled, now - 40, 20, 3)
    monitored.grow(filled, now - 20, 40, 0)
    after = counters(scraped(client))
    grown = {key: after[key] - before.get(key, 0) for key in after}
    web1 = (("app", "shop"), ("host", "web1"))
    assert grown["cartwheel_requests_total", web1] == 60
    assert grown["cartwheel_requests_failed_total", web1] == 3
    assert grown["cartwheel_host_looks_total", web1] == 2
    name = metrics.HISTOGRAM
    assert grown[f"{name}_count", web1] == 60
    buckets = {
        le: grown[f"{name}_bucket", (*web1, ("le", le))] for le in ("0.05", "0.3", "0.5", "+Inf")
    }
    assert buckets == {"0.05": 54, "0.3": 54, "0.5": 60, "+Inf": 60}
    [site_key] = [key for key in grown if key[0] == "cartwheel_site_probes_total"]
    assert grown[site_key] == 2


def test_the_histogram_is_whole(filled: Filled, client: FlaskClient) -> None:
    monitored.grow(filled, time.time(), 100, 0)
    found = scraped(client)
    buckets = [one for one in found[metrics.HISTOGRAM].samples
               if one.name.endswith("_bucket") and one.labels["host"] == "web1"]  # fmt: skip
    assert [float(one.labels["le"]) for one in buckets] == [*BOUNDS, math.inf]
    counts = [one.value for one in buckets]
    assert counts == sorted(counts)
    name = metrics.HISTOGRAM
    assert counts[-1] == value(found, f"{name}_count", host="web1")
    assert counts[-1] == value(found, "cartwheel_requests_total", host="web1")
    assert value(found, f"{name}_sum", host="web1") == pytest.approx(10 * 0.4 + 90 * 0.04)


def test_counters_outlive_what_is_deleted_and_a_restart(
    filled: Filled, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitored.grow(filled, time.time())
    before = counters(scraped(client))
    store = filled.places.project("shop") / DATABASE
    with monitored.opened(filled) as db:
        database.shrink(db, Keeping(0.0, 1 << 16), time.time() + DAY)
        assert db.execute("SELECT count(*) FROM minutes").fetchone() == (0,)
    assert counters(scraped(client)) == before
    again = Store(store.parent)
    again.open()
    again.close()
    fresh = site.create(filled.places, TokenDoor(PAGE_TOKEN)).test_client()
    assert counters(scraped(fresh)) == before


def test_hosts_and_sites_that_are_watched_no_more_are_left_out(
    filled: Filled, client: FlaskClient
) -> None:
    path = filled.places.lists / "shop.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "hosts": known["hosts"][:1], "sites": []}))
    found = scraped(client)
    every: list[Any] = [one.labels for each in found.values() for one in each.samples]
    assert {one["host"] for one in every if "host" in one} == {"web1"}
    assert not [one for one in every if "site" in one]


def test_what_no_host_says_has_no_sum(filled: Filled, client: FlaskClient) -> None:
    """Hosts of an earlier version do not say how long requests took together."""
    name = metrics.HISTOGRAM
    found = scraped(client)
    assert value(found, f"{name}_sum", host="web1") is None
    assert value(found, f"{name}_count", host="web1")


def test_a_host_without_web_has_no_requests(filled: Filled, client: FlaskClient) -> None:
    look = monitored.look_at(filled, "web1", time.time())
    with monitored.opened(filled) as db, database.transaction(db):
        db.execute("DELETE FROM totals")
        database.add(db, database.Subjects(db), rows.of_look(look, None))
    found = scraped(client)
    assert value(found, "cartwheel_host_looks_total", host="web1") == 1
    assert value(found, "cartwheel_requests_total", host="web1") is None
