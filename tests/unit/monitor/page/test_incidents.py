from __future__ import annotations

import json
import re
import sqlite3
import time
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from cartwheel.host.wire.journal import Entry
from cartwheel_monitor.incidents import Incident, Member
from cartwheel_monitor.page.reading import incidents
from cartwheel_monitor.store import DATABASE
from cartwheel_monitor.subjects import KINDS, Subject
from tests.kit import monitored
from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import filled, let_in, page

__all__ = ["filled", "page"]

NOW = time.time()


def incident(
    number: int,
    kind: str = "site",
    *,
    ago: float = 600,
    lasted: float | None = None,
    host: str = "",
) -> Incident:
    app = "" if kind in ("host", "disk", "memory", "clock", "network") else "shop"
    subject = Subject(kind, app, host)
    began = NOW - ago
    member = Member(subject, began, f"problem {number} <b>", frozenset({host or "web1"}))
    is_over = lasted is not None
    return Incident(
        number, kind, app, began, began + 20,
        {} if is_over else {subject: member}, (member,) if is_over else (),
        began + 30 if number % 2 else None, False,
        None if lasted is None else began + lasted, "1.2.0.gaaa",
    )  # fmt: skip


def rows(text: str) -> list[str]:
    return re.findall(r'href="/incidents/shop/(\d+)"', text)


def shown(client: FlaskClient, where: str, code: int = 200) -> str:
    answer = client.get(where)
    assert answer.status_code == code
    return answer.get_data(as_text=True)


def test_open_ones_come_first_then_the_newest(page: FlaskClient, filled: Filled) -> None:
    monitored.note(filled, incident(1, ago=9000))
    monitored.note(filled, incident(2, "disk", ago=500, lasted=60, host="web2"))
    monitored.note(filled, incident(3, "slow", ago=400, lasted=60))
    text = shown(page, "/incidents")
    assert rows(text) == ["1", "3", "2"]
    assert "shop does not answer" in text and "disk full, or soon, on web2" in text
    assert "1 minute" in text and "1.2.0.gaaa" in text
    assert rows(shown(page, "/"))[:1] == ["1"]


def test_they_can_be_chosen_by_app_and_kind(page: FlaskClient, filled: Filled) -> None:
    monitored.note(filled, incident(1))
    monitored.note(filled, incident(2, "slow", lasted=60))
    monitored.fill(filled.places.lists.parent, NOW, app="blog", days=1)
    assert rows(shown(page, "/incidents?app=shop&kind=slow")) == ["2"]
    assert rows(shown(page, "/incidents?app=blog")) == []
    assert rows(shown(page, "/incidents?app=&kind=")) == ["1", "2"]
    for where in ("app=other", "kind=other", "page=-1", "page=1000000000000"):
        shown(page, f"/incidents?{where}", 404)


def test_all_are_on_some_page_once(page: FlaskClient, filled: Filled) -> None:
    count = 2 * incidents.MOST + 7
    for number in range(1, count + 1):
        monitored.note(filled, incident(number, ago=100 * (count - number) + 100, lasted=9))
    monitored.note(filled, incident(count + 1))
    found, where, pages = [], "/incidents", 0
    while where:
        text = shown(page, where)
        found += rows(text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        where, pages = (following[1].replace("&amp;", "&") if following else ""), pages + 1
    assert found == [str(number) for number in range(count + 1, 0, -1)]
    assert pages == 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_page(page: FlaskClient, filled: Filled, kind: str) -> None:
    monitored.note(filled, incident(1, kind, host="" if kind == "site" else "web1"))
    assert rows(shown(page, f"/incidents?kind={kind}")) == ["1"]
    text = shown(page, "/incidents/shop/1")
    assert "problem 1 &lt;b&gt;" in text and "fab incidents --show 1" in text


def test_one_says_all_that_is_known(page: FlaskClient, filled: Filled) -> None:
    one = incident(5, "errors", ago=1000, lasted=125, host="web1")
    monitored.note(
        filled,
        one,
        ("shop answers with errors", "ops", one.began + 40, ""),
        ("recovered: shop", "ops", None, "it answered with 500"),
        ("recovered: shop", "boss", 0.0, "given up"),
    )
    text = shown(page, "/incidents/shop/5")
    for part in ("shop answers with errors", "ops", "boss", "it answered with 500", "given up"):
        assert part in text
    assert "2 minutes" in text and "fab diagnose -H web1" in text
    assert f"deploy of {filled.releases[-1]} by ann: confirmed" in text and "new prices" in text
    shown(page, "/incidents/shop/6", 404)
    shown(page, "/incidents/other/5", 404)


def test_the_last_deploy_is_one_from_before(page: FlaskClient, filled: Filled) -> None:
    monitored.note(filled, incident(1, "errors", ago=1.5 * monitored.DAY, lasted=60, host="web1"))
    text = shown(page, "/incidents/shop/1")
    assert filled.releases[-2] in text and filled.releases[-1] not in text


@pytest.mark.parametrize("damage", ["torn", "absent", "older", "locked"])
def test_a_store_that_cannot_be_read_is_said(filled: Filled, damage: str) -> None:
    store = filled.places.project("shop") / DATABASE
    said = json.loads(filled.places.status.read_text())
    open_ = {"project": "shop", "number": 4, "title": "shop does not answer", "began": NOW}
    filled.places.status.write_text(json.dumps({**said, "open": [open_]}))
    client = let_in(filled)
    if damage == "torn":
        store.write_bytes(b"no database at all" * 1000)
    elif damage == "absent":
        store.unlink()
    elif damage == "older":
        store.unlink()
        sqlite3.connect(store).close()
    else:
        store.unlink()
        store.mkdir()
    text = shown(client, "/incidents")
    assert ("cannot be read" in text) == (damage != "absent")
    shown(client, "/incidents/shop/1", 404 if damage == "absent" else 200)
    assert rows(shown(client, "/")) == ["4"], "the watcher still says what is open"


def test_what_a_later_version_wrote_is_left_out(page: FlaskClient, filled: Filled) -> None:
    monitored.note(filled, incident(1))
    monitored.note(filled, replace(incident(2), kind="quake"))
    assert rows(shown(page, "/incidents")) == ["1"]
    shown(page, "/incidents/shop/2", 404)


def test_an_entry_without_a_result_is_no_deploy(page: FlaskClient, filled: Filled) -> None:
    began = Entry(99, NOW - 700, "deploy", "2.0.0.gbbb", who="bob")
    monitored.add_entry(filled, "web1", began)
    monitored.note(filled, incident(1))
    assert "2.0.0.gbbb" not in shown(page, "/incidents/shop/1")
