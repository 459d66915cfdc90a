"""What is usual by the store, what a look leaves in it, and the page's questions."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from cartwheel.host.wire.look import (
    BOUNDS,
    AppLook,
    DiskLook,
    HostLook,
    ProcessLook,
    Requests,
)
from cartwheel_monitor import database, past, rows
from cartwheel_monitor.database import Subjects
from cartwheel_monitor.observations import Look, Probe, Usual
from cartwheel_monitor.past import Past
from cartwheel_monitor.rows import Row
from cartwheel_monitor.store import DATABASE

HOUR, DAY = 3600.0, 86400.0
AT = 1_790_000_000.0 // DAY * DAY + 10 * HOUR


def requests(host: str, at: float, count: int, failed: int = 0, slow: int = 0) -> Row:
    """`slow` of them took 3 to 5 s, the others 0.1 to 0.2 s."""
    values = {"requests": count, "failed": failed, "t2": count - slow, "t10": slow}
    return Row("shop", host, "", at, values)


def filled(folder: Path, every: Iterable[Row]) -> sqlite3.Connection:
    db = database.connect(folder / DATABASE)
    with database.transaction(db):
        database.add(db, Subjects(db), every)
    return db


def days(host: str, count: int = 5, slow: int = 0) -> list[Row]:
    """Each hour of some days, of which the whole hour of AT is slow in its third part."""
    return [
        requests(host, at, 100, 1, slow if at % DAY == 10 * HOUR + 1200 else 0)
        for day in range(1, count + 1)
        for part in range(24 * 6)
        for at in [AT - 10 * HOUR - day * DAY + part * 600]
    ]


def test_the_usual_is_that_of_the_days_before(memory: Path) -> None:
    db = filled(memory, [*days("web1", slow=20), *days("web2")])
    one = past.usual_of(db, "shop", "web1", AT)
    assert one.share == pytest.approx(0.01)
    assert one.p95 == pytest.approx(4.5)
    assert past.usual_of(db, "shop", "web2", AT).p95 == pytest.approx(0.195)
    assert past.usual_of(db, "shop", "", AT).p95 == pytest.approx(4.0)
    assert past.usual_of(db, "shop", "web1", AT + 5 * HOUR).p95 == pytest.approx(0.195)
    # A new host is as the others are; another app is not.
    assert past.usual_of(db, "shop", "web3", AT) == past.usual_of(db, "shop", "", AT)
    assert past.usual_of(db, "blog", "web1", AT) == Usual()
    db.close()


def test_one_bad_day_is_not_usual(memory: Path) -> None:
    bad = [requests("web1", AT - DAY + part * 600, 100, 90, 90) for part in range(6)]
    db = filled(memory, [*days("web1"), *bad])
    found = past.usual_of(db, "shop", "web1", AT)
    assert found.share == pytest.approx(0.01)
    assert found.p95 == pytest.approx(0.195)
    db.close()


@pytest.mark.parametrize(
    "rows",
    [
        [],
        days("web1", 5)[:5],
        [
            requests("web1", AT - day * DAY - hour * HOUR, 49)
            for day in range(5)
            for hour in range(9)
        ],
    ],
    ids=["nothing", "an hour", "too few"],
)
def test_little_is_not_enough_to_be_usual(memory: Path, rows: list[Row]) -> None:
    db = filled(memory, rows)
    assert past.usual_of(db, "shop", "web1", AT) == Usual()
    db.close()


def test_two_days_say_nothing_of_an_hour(memory: Path) -> None:
    db = filled(memory, days("web1", 2))
    found = past.usual_of(db, "shop", "web1", AT)
    assert found.share is not None
    assert found.p95 is None
    db.close()


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_past_answers_at_once_and_later_better(memory: Path) -> None:
    free = [
        Row("", "web1", "/", AT - hours * HOUR, {"free": 1000 - hours, "size": 5000})
        for hours in range(300)
    ]
    filled(memory, [*days("web1"), *free]).close()
    one = Past(memory / DATABASE)
    one.start(AT + 60)
    assert one.usual("shop", "web1", AT) == Usual()
    wait_for(lambda: one.usual("shop", "web1", AT).p95 is not None)
    # In the next hour the last one is told until its own is read.
    assert one.usual("shop", "web1", AT + HOUR).p95 is not None
    points = one.disk("web1", "/", AT)
    assert points[-1] == (AT, 1000.0)
    assert points == tuple(sorted(points))
    assert 160 < len(points) < 200
    assert one.disk("web1", "/boot", AT) == ()
    one.stop()


def test_the_past_goes_on_after_what_it_cannot_read(memory: Path) -> None:
    endless = Row("blog", "web1", "", AT - DAY, {"requests": float("inf")})
    filled(memory, [*days("web1"), endless]).close()
    one = Past(memory / DATABASE)
    one.start(AT)
    one.usual("blog", "web1", AT)
    one.usual("shop", "web1", AT)
    wait_for(lambda: one.usual("shop", "web1", AT).p95 is not None)
    assert one.usual("blog", "web1", AT) == Usual()
    one.stop()


def test_a_past_without_a_file_knows_nothing(memory: Path) -> None:
    one = Past(memory / DATABASE)
    one.start(AT)
    assert one.usual("shop", "web1", AT) == Usual()
    assert one.disk("web1", "/", AT) == ()
    wait_for(lambda: ("shop", "web1") in one._usual)
    assert one.usual("shop", "web1", AT) == Usual()
    one.stop()


def test_a_question_of_the_page_has_an_end(memory: Path) -> None:
    filled(memory, days("web1")).close()
    with past.reading(memory / DATABASE, 0.05) as db, pytest.raises(sqlite3.OperationalError):
        db.execute("SELECT count(*) FROM raw a, raw b, raw c, raw d").fetchone()


def test_the_page_asks_only_for_what_there_is(memory: Path) -> None:
    filled(memory, days("web1")).close()
    with pytest.raises(ValueError):
        past.series(memory / DATABASE, ("shop", "web1", ""), ["x; --"], since=0, until=AT)
    with pytest.raises(ValueError):
        past.series(memory / DATABASE, ("shop", "web1", ""), [], since=0, until=AT, table="kept")


# Rows


def test_what_a_messenger_never_heard_is_said(memory: Path) -> None:
    db = filled(memory, [])
    with database.transaction(db):
        db.execute('INSERT INTO news VALUES (1, 100.0, 7, \'{"title": "down"}\')')
        for name, done, problem in (
            ("boss", 0.0, "given up"), ("mail", None, "no answer"), ("ops", 105.0, "")
        ):  # fmt: skip
            db.execute("INSERT INTO deliveries VALUES (1, ?, 1, ?, ?)", (name, done, problem))
    found = past.telling(memory / DATABASE, 7)
    assert [(one["messenger"], one["at"], one["problem"]) for one in found] == [
        ("boss", 100.0, "given up"),
        ("mail", 100.0, "no answer"),
        ("ops", 105.0, ""),
    ]


def test_what_a_look_leaves() -> None:
    times = tuple(range(len(BOUNDS) + 1))
    app = AppLook(
        app="shop",
        processes=(
            ProcessLook("web", "web", "active", restarts=3, memory=100),
            ProcessLook("worker", "1", "failed", restarts=1, memory=None),
        ),
        requests=Requests(20, 91, 2, times),
    )
    before = AppLook(app="shop", processes=(ProcessLook("web", "web", restarts=1),))
    seen = HostLook(memory=9, memory_available=4, load=1.5, cpus=2, apps=(app,),
                    disks=(DiskLook("/", 8, 7, 6, 5),))  # fmt: skip
    found = list(
        rows.of_look(Look("web1", AT, seen), Look("web1", AT - 20, HostLook(apps=(before,))))
    )
    assert [(one.app, one.host, one.about) for one in found] == [
        ("", "web1", ""),
        ("", "web1", "/"),
        ("shop", "web1", ""),
    ]
    assert found[0].values["memory_available"] == 4
    assert found[1].values == {"size": 8, "free": 7, "inodes": 6, "free_inodes": 5}
    values = dict(found[2].values)
    assert {
        name: values.pop(name) for name in ("bad", "down", "restarts", "memory_used", "looks")
    } == {
        "bad": 1,
        "down": 1,
        "restarts": 2,
        "memory_used": 100,
        "looks": 1,
    }
    assert values == {"seconds": 20, "requests": 91, "failed": 2,
                      **{f"t{place}": place for place in times}}  # fmt: skip


def test_what_no_answer_leaves() -> None:
    (found,) = rows.of_look(Look("web1", AT, None, "refused"), None)
    assert found == Row("", "web1", "", AT, {"looks": 1, "bad": 1})
    found = rows.of_probe(Probe("shop", AT, None, 5.0, "no answer", "https://shop.example.org/"))
    assert (found.app, found.host, found.about) == ("shop", "", "https://shop.example.org/")
    assert found.values == {"looks": 1, "bad": 1, "probe_seconds": 5.0, "probe_longest": 5.0}
