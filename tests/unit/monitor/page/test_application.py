from __future__ import annotations

import hashlib
import json
import re
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from flask.testing import FlaskClient

from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.journal import Entry
from cartwheel_monitor import database
from cartwheel_monitor.observations import Probe
from cartwheel_monitor.page import site
from cartwheel_monitor.page.reading import projects, traffic
from cartwheel_monitor.page.reading.traffic import SPANS
from cartwheel_monitor.rows import Row, of_probe
from cartwheel_monitor.store import DATABASE
from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import filled, page

__all__ = ["filled", "page"]

STATIC = Path(site.__file__).parent / "static"


def store(filled: Filled) -> Path:
    return filled.places.project(filled.app) / DATABASE


def write(filled: Filled, *rows: Row) -> None:
    db = database.connect(store(filled))
    with database.transaction(db):
        database.add(db, database.Subjects(db), rows)
    db.close()


def note(filled: Filled, *entries: tuple[str, Entry]) -> None:
    db = database.connect(store(filled))
    for number, (host, one) in enumerate(entries):
        row = (filled.app, host, 1000 + number, one.at, json.dumps(to_json(one)))
        db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row)
    db.close()


def read(filled: Filled, span: str, host: str = "", now: float = 0.0) -> traffic.Traffic:
    project = projects.named(filled.places, filled.app)
    return traffic.read(project, SPANS[span], now or time.time(), host)


@pytest.mark.parametrize("span", SPANS)
def test_a_plot_has_120_to_360_points(filled: Filled, span: str) -> None:
    found = read(filled, span)
    assert 120 <= len(found.times) == len(found.points) <= 360
    assert found.trouble == ""
    last = found.points[-2]
    assert last.requests == pytest.approx(20.0)  # two hosts
    # In ten requests a second, less than one of a minute fails.
    assert last.share == pytest.approx(0.001 if SPANS[span].table == "hours" else 0.0)
    assert found.sites[0].usual[-2] == pytest.approx(0.08)
    assert found.sites[0].longest[-2] == pytest.approx(0.4)


def test_one_host_alone(filled: Filled) -> None:
    whole, one = read(filled, "24h"), read(filled, "24h", "web1")
    assert one.points[-2].requests == pytest.approx(10.0)
    assert one.current.requests == pytest.approx(10.0)
    memory = [each.points[-2].memory for each in (one, read(filled, "24h", "web2"))]
    assert sum(filter(None, memory)) == pytest.approx(whole.points[-2].memory)


def test_what_is_not_known_is_a_gap(filled: Filled) -> None:
    found = read(filled, "60d")
    assert found.points[0] == traffic.Point()
    assert found.sites[0].usual[0] is None
    assert found.points[-1].requests is not None


def test_a_host_without_requests_does_not_count(filled: Filled) -> None:
    now = time.time()
    write(filled, Row(filled.app, "worker", "", now, {"looks": 1, "memory_used": 1 << 30}))
    found = read(filled, "6h", now=now).points[-1]
    assert found.requests is None or found.requests == pytest.approx(20.0)
    assert found.memory is not None and found.memory >= 1 << 30


def test_numbers_of_a_strange_host_do_no_harm(page: FlaskClient, filled: Filled) -> None:
    values = {"seconds": 1e308, "requests": 1e308, "failed": -5, "t3": 1e308, "memory_used": -1}
    for host in filled.hosts:
        write(filled, *(Row(filled.app, host, "", time.time(), values) for _ in range(3)))
    write(filled, of_probe(Probe(filled.app, time.time(), 0, 1e308, "x", filled.url)))
    for span in SPANS:
        assert page.get(f"/apps/shop/?span={span}").status_code == 200


def test_one_run_is_one_mark(filled: Filled) -> None:
    now = time.time()
    at = now - 3000
    release = "9.0.0.gabc"
    entries = [
        ("web1", Entry(at=at, kind="deploy", release=release, result="confirmed", who="bob"))
    ]
    entries += [
        ("web2", Entry(at=at + 900, kind="deploy", release=release, result="reverted", who="bob"))
    ]
    entries += [
        ("web1", Entry(at=at - 20, kind="migrate", release=release, result="done", who="bob"))
    ]
    entries += [("web1", Entry(at=now - 60, kind="rollback", release=filled.releases[-1],
                               result="confirmed", who="eve"))]  # fmt: skip
    entries += [("web1", Entry(at=now - 50, kind="restart", result="confirmed", who="eve"))]
    note(filled, *entries)
    found = read(filled, "6h", now=now).done
    assert [(one.kind, one.release, one.who, one.results) for one in found] == [
        ("deploy", release, "bob", (("confirmed", 1), ("reverted", 1))),
        ("rollback", filled.releases[-1], "eve", (("confirmed", 1),)),
    ]
    assert [one.is_bad for one in found] == [True, False]


def test_the_view_stands_without_javascript(page: FlaskClient, filled: Filled) -> None:
    text = page.get("/apps/shop/?span=7d").get_data(as_text=True)
    drawn = re.findall(r'<svg class="drawn".*?</svg>', text, re.DOTALL)
    assert len(drawn) == 6
    for one in map(ElementTree.fromstring, drawn):
        assert one.get("role") == "img" and "last" in str(one.get("aria-label"))
        assert [each for each in one.iter("path") if each.get("class", "").startswith("line")]
        marks = [each.findtext("title") for each in one.iter("g")]
        assert f"deploy of {filled.releases[-1]} by ann: confirmed on 2 hosts" in marks
    assert "20.0/s" in text and "0.10 %" in text
    assert "style=" not in text and "nonce" not in text
    for found in re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL):
        data = json.loads(found)
        assert len(data["x"]) == len(data["at"]) == len(data["lines"][0]["values"])


def test_a_release_cannot_write_into_the_page(page: FlaskClient, filled: Filled) -> None:
    evil = "</script><script>alert(1)</script>"
    note(filled, ("web1", Entry(at=time.time() - 60, kind="deploy", release=evil, who=evil,
                                result="failed")))  # fmt: skip
    text = page.get("/apps/shop/").get_data(as_text=True)
    assert "alert(1)" in text and "<script>alert" not in text


@pytest.mark.parametrize("query", ["span=5y", "host=other", "span=6h&host=../x"])
def test_nothing_else_can_be_asked_for(page: FlaskClient, query: str) -> None:
    assert page.get(f"/apps/shop/?{query}").status_code == 404


def test_a_host_can_be_chosen(page: FlaskClient) -> None:
    text = page.get("/apps/shop/?span=6h&host=web2").get_data(as_text=True)
    assert "<option selected>web2</option>" in text and "10.0/s" in text
    assert 'href="/apps/shop/?span=24h&amp;host=web2"' in text


def test_the_fleet_leads_to_it(page: FlaskClient) -> None:
    assert '<a href="/apps/shop/">shop</a>' in page.get("/").get_data(as_text=True)
    assert page.get("/apps/other/").status_code == 404


def test_it_comes_without_a_store_and_with_an_empty_one(page: FlaskClient, filled: Filled) -> None:
    store(filled).unlink()
    assert "nothing known" in page.get("/apps/shop/").get_data(as_text=True)
    database.connect(store(filled)).close()
    text = page.get("/apps/shop/").get_data(as_text=True)
    assert "nothing known" in text and "cannot be read" not in text


def test_it_says_that_a_store_is_torn(page: FlaskClient, filled: Filled) -> None:
    store(filled).write_bytes(b"no database at all" * 300)
    answer = page.get("/apps/shop/")
    assert answer.status_code == 200
    assert "Its history cannot be read" in answer.get_data(as_text=True)


def test_plots_come_from_a_store_that_knows_no_deploys(page: FlaskClient, filled: Filled) -> None:
    db = database.connect(store(filled))
    db.execute("DROP TABLE entries")
    db.close()
    text = page.get("/apps/shop/").get_data(as_text=True)
    assert "Its history cannot be read" in text and "20.0/s" in text


def test_uplot_is_as_it_was_published() -> None:
    lines = (STATIC / "uplot" / "README").read_text()
    known = {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", lines, re.M)}
    assert known.keys() == {"LICENSE", "uPlot.iife.min.js", "uPlot.min.css"}
    for name, digest in known.items():
        assert hashlib.sha256((STATIC / "uplot" / name).read_bytes()).hexdigest() == digest
