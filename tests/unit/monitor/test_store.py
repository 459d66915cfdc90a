"""What a monitor keeps: it comes back after a kill, a torn file and a full disk, and says what is
missing."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cartwheel_monitor import database, incident_log, past, records, schema
from cartwheel_monitor import store as store_module
from cartwheel_monitor.database import Keeping, Subjects
from cartwheel_monitor.incidents import Book, Incident, Member, Told
from cartwheel_monitor.judge import Deployed, State
from cartwheel_monitor.pulse import Pulse
from cartwheel_monitor.quiet import Silence
from cartwheel_monitor.rows import Row
from cartwheel_monitor.store import DATABASE, LOG, Store
from cartwheel_monitor.subjects import Subject
from tests.kit.tiers import only_root

ROOT = Path(__file__).parents[3]
NOW = 1_790_000_000.0
SITE = Subject("site", "shop", "", "")
DISK = Subject("disk", "", "web1", "/")
INCIDENT = Incident(
    number=7,
    kind="site",
    app="shop",
    began=NOW - 60,
    seen=NOW - 40,
    members={SITE: Member(SITE, NOW - 60, "no answer", frozenset({"web1", "web2"}))},
    past=(Member(DISK, NOW - 50, "full", frozenset({"web1"})),),
    told=NOW - 37,
    release="1.0.aa",
)
STATE = State(
    pulses={SITE: Pulse("down", 4, 0, NOW - 60, "no answer"), DISK: Pulse("well", 1, 0, NOW, "x")},
    book=Book({7: INCIDENT}, 8),
    locked={("shop", "web1"): NOW},
    silences=(Silence(NOW + 60, "a test", "ann", app="blog"),),
    unended={("shop", "web1"): "migrate 3"},
    deployed={"shop": Deployed(NOW - 900, "deploy", "1.0.aa", "ann")},
    closed={"blog": "web1"},
)


def row(at: float, **values: float) -> Row:
    return Row("shop", "web1", "", at, values or {"looks": 1, "requests": 10})


def opened(folder: Path, **given: object) -> Store:
    return Store(folder, clock=lambda: NOW, **given)  # type: ignore[arg-type]  # Keeping


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def rows_in(folder: Path, table: str = "raw") -> int:
    with past.reading(folder / DATABASE) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - ours


def again(folder: Path) -> tuple[State, list[str]]:
    """What a monitor that starts there finds, and notes."""
    store = opened(folder)
    found = store.open()
    store.close()
    return found.state, [one.text for one in found.notes]


def fill(folder: Path) -> None:
    """A store as a monitor leaves it."""
    store = opened(folder)
    store.open()
    store.add([row(NOW + each) for each in range(200)])
    store.keep(STATE, [Told("opened", INCIDENT)], cursors={"web1": "c1"}, at=NOW)
    store.close()


def test_a_state_is_the_same_after_it_was_written() -> None:
    assert records.state(json.loads(json.dumps(records.of_state(STATE)))) == STATE


@pytest.mark.parametrize(
    "found", [None, [], "x", {"pulses": 3, "open": [1, {"kind": "no such kind"}], "locked": [[1]]}]
)
def test_a_state_that_cannot_be_read_is_empty(found: records.Json) -> None:
    assert records.state(found) == State()


def test_all_comes_back(memory: Path) -> None:
    fill(memory)
    store = opened(memory)
    found = store.open()
    store.close()
    assert (found.state, dict(found.cursors), found.notes) == (STATE, {"web1": "c1"}, ())
    assert rows_in(memory) == 200
    assert [json.loads(one)["number"] for one in past.incidents(memory / DATABASE, 10)] == [7]


def test_rows_of_a_span_become_one(memory: Path) -> None:
    store = opened(memory)
    store.open()
    begins = NOW // 3600 * 3600
    store.add(
        [
            row(begins + 1, requests=10, t0=9, load=1.0, free=50, size=100),
            row(begins + 21, requests=5, t0=1, load=3.0, free=40, size=100),
            row(begins + 61, requests=1, free=60, size=200),
            row(begins + 3601, requests=100),
        ]
    )
    store.close()
    columns = ("requests", "t0", "load", "free", "size")
    subject = ("shop", "web1", "")

    def read(table: str) -> list[tuple[float | None, ...]]:
        return past.series(
            memory / DATABASE, subject, columns, since=begins, until=begins + 9999, table=table
        )

    assert read("minutes")[:2] == [
        (begins, 15, 10, 3.0, 40, 100),
        (begins + 60, 1, None, None, 60, 200),
    ]
    assert read("hours") == [
        (begins, 16, 10, 3.0, 40, 200),
        (begins + 3600, 100, None, None, None, None),
    ]
    assert len(read("raw")) == 4


@pytest.mark.parametrize("value", [10**30, -(10**30), 1e300, float("nan"), float("inf"), 2**63 - 1])
def test_what_a_host_says_never_stops_the_writer(memory: Path, value: float) -> None:
    store = opened(memory)
    store.open()
    store.add([Row("a\ud800", "web1", "\x00", NOW, {"free": value})])
    store.close()
    assert rows_in(memory) == 1


def test_a_job_that_fails_holds_nothing_up(memory: Path) -> None:
    def broken(_db: sqlite3.Connection) -> None:
        raise ValueError("no")

    store = opened(memory)
    store.open()
    store.submit(broken)
    wait_for(lambda: bool(store.health.trouble), "trouble")
    store.add([row(NOW)])
    wait_for(lambda: rows_in(memory) == 1, "rows")
    store.close()


# Torn, foreign, gone


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribble(path: Path) -> None:
    with path.open("r+b") as file:
        for place in range(4096, path.stat().st_size, 4096):
            file.seek(place)
            file.write(b"\xff" * 64)


def text(path: Path) -> None:
    path.write_bytes(b"this is no database\n" * 999)


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE raw (something TEXT)")


def empty_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\0" * 100)


@pytest.mark.parametrize(
    "tear", [cut, scribble, text, foreign, empty_header], ids=lambda f: f.__name__
)
def test_a_torn_database_is_set_aside_and_begun_anew(
    memory: Path, tear: Callable[[Path], None]
) -> None:
    fill(memory)
    with closing(sqlite3.connect(memory / DATABASE)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    tear(memory / DATABASE)
    store = opened(memory)
    found = store.open()
    store.add([row(NOW)])
    wait_for(lambda: bool(store.notes()) or bool(found.notes), "a note")
    wait_for(lambda: not store.health.trouble and not store.health.waiting, "it writes again")
    store.close()
    assert set(found.state.book.open) == {7}
    assert found.state.pulses[SITE].state == "down"
    assert found.state.silences == STATE.silences
    assert len(list(memory.glob(f"{DATABASE}.torn-*[0-9]"))) == 1
    assert rows_in(memory) == 1
    notes = [one.text for one in incident_log.read(memory / LOG).notes]
    assert any("is set aside as monitor.sqlite.torn-" in one for one in notes)
    # All that it knew is in the new one.
    state, _notes = again(memory)
    assert set(state.book.open) == {7}
    assert state.deployed == found.state.deployed


def test_a_database_that_is_torn_while_it_runs(memory: Path) -> None:
    store = opened(memory)
    store.open()
    store.add([row(NOW + each) for each in range(2000)])
    store.keep(STATE, [Told("opened", INCIDENT)], cursors={"web1": "c7"}, at=NOW)
    wait_for(lambda: not store.health.waiting, "written")
    with closing(sqlite3.connect(memory / DATABASE)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    scribble(memory / DATABASE)

    def reread(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA shrink_memory")
        db.execute("SELECT sum(looks) FROM raw").fetchall()

    store.submit(reread)
    store.add([row(NOW + 9999)])
    wait_for(lambda: bool(list(memory.glob("*.torn-*"))), "it is set aside")
    wait_for(lambda: not store.health.trouble and not store.health.waiting, "it writes again")
    store.close()
    assert rows_in(memory) >= 1
    assert again(memory)[0] == STATE
    assert past.kept(memory / DATABASE)["cursor:web1"] == "c7"


def test_only_the_last_torn_files_are_kept(memory: Path) -> None:
    for number in range(4):
        (memory / DATABASE).write_bytes(b"x" * 4096)
        database.set_aside(memory / DATABASE, NOW + number)
    assert len(list(memory.iterdir())) == 2


def test_torn_lines_of_the_log_are_left_out(memory: Path) -> None:
    fill(memory)
    log = memory / LOG
    whole = log.read_bytes()
    log.write_bytes(b"[1]\n\xff\xfe\n" + whole + b'{"seq": 99, "incident": {"num')
    state, notes = again(memory)
    assert set(state.book.open) == {7}
    assert notes == [f"{LOG}: 3 torn lines were left out"]
    incident_log.append(log, [incident_log.of_silences(100, ())])
    known = incident_log.read(log)
    assert (known.seq, known.silences, known.torn) == (100, (), 3)
    assert [one.text for one in known.notes] == notes


def test_the_log_is_cut_by_rename(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incident_log, "MOST_BYTES", 20_000)
    monkeypatch.setattr(incident_log, "KEPT_INCIDENTS", 5)
    log = memory / LOG
    incident_log.append(log, [incident_log.of_silences(1, STATE.silences)])
    for number in range(200):
        ended = None if number == 3 else NOW
        one = replace(INCIDENT, number=number, ended=ended)
        incident_log.append(log, [incident_log.of_incident(number + 1, one)])
    assert log.stat().st_size < 25_000
    known = incident_log.read(log)
    assert (known.seq, known.silences) == (200, STATE.silences)
    assert [one.number for one in known.open] == [3]
    assert 199 in known.incidents
    assert [one.name for one in memory.iterdir()] == [LOG]


def test_lines_are_added_once_also_where_the_log_cannot_be_cut(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incident_log, "MOST_BYTES", 20)
    (memory / f"{LOG}.new").mkdir()
    store = opened(memory)
    store.open()
    store.note("one")
    wait_for(lambda: not store.health.waiting, "the first")
    store.note("other")
    store.close()
    assert store.health.trouble == ""
    assert [one.text for one in incident_log.read(memory / LOG).notes] == ["one", "other"]


def test_a_log_that_knows_more_than_the_database_wins(memory: Path) -> None:
    """As after a time in which only the database could not be written."""
    fill(memory)
    newer = replace(INCIDENT, number=8, kind="disk", app="",
                    members={DISK: Member(DISK, NOW, "full", frozenset({"web1"}))})  # fmt: skip
    over = replace(INCIDENT, ended=NOW)
    lines = [incident_log.of_incident(500, newer), incident_log.of_incident(501, over)]
    incident_log.append(memory / LOG, lines)
    state, _notes = again(memory)
    assert set(state.book.open) == {8}
    assert state.book.next_number == 9
    assert [one for one, each in state.pulses.items() if each.state == "down"] == [DISK]


def test_incidents_that_end_are_written(memory: Path) -> None:
    fill(memory)
    store = opened(memory)
    store.open()
    over = replace(INCIDENT, members={}, ended=NOW)
    store.keep(replace(STATE, book=Book({}, 8)), [Told("recovered", over)], at=NOW)
    store.close()
    assert incident_log.read(memory / LOG).incidents[7].ended == NOW
    assert again(memory)[0].book.open == {}


def test_a_share_that_changes_at_each_look_makes_no_lines(memory: Path) -> None:
    store = opened(memory)
    store.open()
    for number in range(20):
        members = {SITE: replace(INCIDENT.members[SITE], problem=f"{number} %")}
        one = replace(INCIDENT, members=members)
        store.keep(replace(STATE, book=Book({7: one}, 8)), at=NOW)
    store.close()
    assert (memory / LOG).read_bytes().count(b'"incident"') == 1
    (data,) = past.incidents(memory / DATABASE, 10)
    assert json.loads(data)["members"][0]["problem"] == "19 %"


# Versions


def test_an_earlier_version_reads_and_writes_a_newer_file(memory: Path) -> None:
    fill(memory)
    with closing(sqlite3.connect(memory / DATABASE)) as db:
        for table in (*schema.LEVELS, "kept", "incidents", "news", "subjects"):
            db.execute(f"ALTER TABLE {table} ADD COLUMN later TEXT DEFAULT 'x'")
        db.execute("CREATE TABLE later (a TEXT)")
        db.execute("PRAGMA user_version = 99")
        db.commit()
    store = opened(memory)
    assert store.open().state == STATE
    store.add([row(NOW + 1000)])
    store.put("page", "x")
    store.keep(replace(STATE, locked={}), at=NOW)
    store.close()
    assert not store.health.trouble
    assert rows_in(memory) == 201
    assert again(memory)[0].locked == {}
    with closing(sqlite3.connect(memory / DATABASE)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 99


def test_a_later_version_adds_what_an_earlier_one_had_not(memory: Path) -> None:
    fill(memory)
    with closing(sqlite3.connect(memory / DATABASE)) as db:
        db.execute("DROP TABLE raw")
        db.execute("CREATE TABLE raw (subject INTEGER NOT NULL, at INTEGER NOT NULL, looks,"
                   " PRIMARY KEY (subject, at)) WITHOUT ROWID")  # fmt: skip
    store = opened(memory)
    store.open()
    store.add([row(NOW, looks=1, free=3)])
    store.close()
    assert rows_in(memory) == 1


# How much is kept


def test_what_is_old_goes(memory: Path) -> None:
    db = database.connect(memory / DATABASE)
    with database.transaction(db):
        for days in (0, 1, 3, 70, 800):
            database.add(db, Subjects(db), [row(NOW - days * 86400)])
    database.shrink(db, Keeping(), NOW)
    assert [rows_in(memory, one) for one in schema.LEVELS] == [2, 3, 4, 4]
    database.shrink(db, Keeping(history_days=0), NOW)
    assert [rows_in(memory, one) for one in schema.LEVELS] == [1, 1, 1, 0]
    db.close()


def test_the_days_of_an_earlier_version_come_from_its_hours(memory: Path) -> None:
    db = database.connect(memory / DATABASE)
    with database.transaction(db):
        for hours in range(48):
            database.add(db, Subjects(db), [row(NOW - hours * 3600)])
    whole = db.execute("SELECT * FROM days ORDER BY subject, at").fetchall()
    db.execute("DROP TABLE days")
    db.execute("PRAGMA user_version = 1")
    db.close()
    db = database.connect(memory / DATABASE)
    assert db.execute("SELECT * FROM days ORDER BY subject, at").fetchall() == whole != []
    db.execute("DELETE FROM days")
    db.close()
    database.connect(memory / DATABASE).close()
    assert rows_in(memory, "days") == 0


def test_too_much_goes_oldest_first_and_raw_before_the_rest(memory: Path) -> None:
    db = database.connect(memory / DATABASE)
    values = dict.fromkeys(schema.COLUMNS, 123456)
    with database.transaction(db):
        subjects = Subjects(db)
        for number in range(3000):
            at = NOW - number * 50
            database.add(db, subjects, [Row("shop", "web1", "", at, values)])
    before = database.used_bytes(db)
    database.shrink(db, Keeping(limit_bytes=before * 3 // 4), NOW)
    assert database.used_bytes(db) <= before * 3 // 4
    counts = [rows_in(memory, one) for one in schema.LEVELS]
    assert 0 < counts[0] < 3000
    assert counts[1] == 2500
    assert db.execute("SELECT max(at) FROM raw").fetchone()[0] == int(NOW)
    # The file gives the room back.
    assert db.execute("PRAGMA freelist_count").fetchone()[0] == 0
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert (memory / DATABASE).stat().st_size < before
    db.close()


# Disks that are full, locked or gone


def test_a_lock_is_waited_out_and_nothing_is_lost(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(store_module, "WORTH_SECONDS", 0.0)
    store = opened(memory)
    store.open()
    with closing(sqlite3.connect(memory / DATABASE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.add([row(NOW)])
        store.keep(STATE, [Told("opened", INCIDENT)], cursors={"web1": "c8"}, at=NOW)
        wait_for(lambda: "locked" in store.health.trouble, "it says so")
        # The log does not wait for the database.
        wait_for(lambda: set(incident_log.read(memory / LOG).incidents) == {7}, "logged")
        other.execute("ROLLBACK")
    wait_for(lambda: not store.health.trouble, "it works again")
    assert any("works again" in one.text for one in store.notes())
    store.close()
    assert rows_in(memory) == 1
    assert past.kept(memory / DATABASE)["cursor:web1"] == "c8"


def test_a_folder_that_cannot_be_used_loses_only_what_is_too_much(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MOST_ROWS", 50)
    folder = memory / "there"
    folder.write_text("a file")
    store = opened(folder)
    assert store.open().state == State()
    store.keep(STATE, [Told("opened", INCIDENT)], at=NOW)
    store.add([row(NOW + each) for each in range(50 + 5)])
    wait_for(lambda: bool(store.health.trouble), "it says so")
    assert store.health.lost == 5
    folder.unlink()
    folder.mkdir()
    wait_for(lambda: not store.health.trouble and not store.health.waiting, "it works again")
    (note,) = [one.text for one in store.notes() if "works again" in one.text]
    assert "5 looks were not kept" in note
    assert (store.health.lost, store.health.lost_ever) == (0, 5)
    store.close()
    assert again(folder)[0].book == STATE.book


def test_a_store_that_cannot_write_ends_when_it_is_closed(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_RETRY_SECONDS", (0.01,))
    attempts: list[str] = []
    monkeypatch.setattr(Store, "_failed", lambda _self, error: attempts.append(str(error)))
    (memory / LOG).mkdir()
    store = opened(memory)
    store.open()
    store.note("something")
    wait_for(lambda: len(attempts) > 3, "it was tried some times")
    store.close()
    assert not store._thread.is_alive()


def test_a_file_that_was_moved_away_is_begun_anew(memory: Path) -> None:
    fill(memory)
    store = opened(memory)
    store.open()
    wait_for(lambda: not store.health.waiting, "it works")
    for one in list(memory.glob(f"{DATABASE}*")):
        one.unlink()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        store.add([row(NOW)])
        time.sleep(0.05)
        if (memory / DATABASE).exists() and not store.health.trouble and not store.health.waiting:
            break
    store.close()
    assert again(memory)[0].book == STATE.book


def test_totals_only_grow(memory: Path) -> None:
    """Whatever is deleted, and in whatever order looks come: rate() of them is right."""
    db = database.connect(memory / DATABASE)

    def total() -> tuple[float, float, float]:
        asked = "SELECT looks, requests, t2 FROM totals JOIN subjects ON subject = id"
        (found,) = db.execute(asked + " WHERE host = 'web1'").fetchall()
        return float(found[0]), float(found[1] or 0), float(found[2] or 0)

    with database.transaction(db):
        database.add(db, Subjects(db), [row(NOW), row(NOW - 3 * 86400), row(NOW, looks=1, t2=4)])
    assert total() == (3, 20, 4)
    database.shrink(db, Keeping(0.0, 1), NOW + 10 * 86400)
    assert db.execute("SELECT count(*) FROM days").fetchone() == (0,)
    assert total() == (3, 20, 4)
    db.close()
    db = database.connect(memory / DATABASE)
    with database.transaction(db):
        database.add(db, Subjects(db), [row(NOW, looks=1), Row("", "web1", "/", NOW, {"size": 9})])
    assert total() == (4, 20, 4)
    db.close()


# Killed, and a full disk

WRITER = """
import sys, time
sys.path[:0] = sys.argv[2:4]
from pathlib import Path
from tests.unit.monitor import writing
writing.main(Path(sys.argv[1]))
"""


def test_a_full_disk_is_survived_and_told(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit for this process's files stands for it here; a real one is tried at night."""
    monkeypatch.setattr(store_module, "MOST_ROWS", 3000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = opened(memory)
    store.open()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        store.keep(STATE, [Told("opened", INCIDENT)], cursors={"web1": "c9"}, at=NOW)
        for begins in range(0, 6000, 500):
            store.add([row(NOW + begins + each) for each in range(500)])
            time.sleep(0.02)
        wait_for(lambda: bool(store.health.trouble), "it says so")
        assert store.health.lost
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    wait_for(lambda: not store.health.trouble and not store.health.waiting, "it works again")
    assert any("looks were not kept" in one.text for one in store.notes())
    store.close()
    assert again(memory)[0] == STATE


@pytest.mark.nightly
@only_root("mounts a small disk (mount(2))")
def test_a_disk_without_room_is_survived(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    try:
        store = opened(disk)
        store.open()
        (disk / "other").write_bytes(b"x" * 500_000)
        store.keep(STATE, [Told("opened", INCIDENT)], at=NOW)
        for begins in range(0, 20_000, 1000):
            store.add([row(NOW + begins + each) for each in range(1000)])
        wait_for(lambda: "full" in store.health.trouble, "it says so")
        known = replace(STATE, locked={})
        store.keep(known, at=NOW)
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        wait_for(lambda: not store.health.trouble and not store.health.waiting, "it works again")
        store.close()
        assert again(disk)[0] == known
        assert rows_in(disk) == 20_000
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def killed(folder: Path, chance: random.Random) -> list[int]:
    """A writing process, killed at some moment; the incidents that it said were logged."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(ROOT), str(ROOT / "monitor")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(chance.uniform(0, 0.25))
    process.send_signal(signal.SIGKILL)
    lines = [first, *process.stdout.readlines()]
    process.wait(10)
    process.stdout.close()
    return [int(one) for one in lines if one.endswith("\n") and one.strip().isdigit()]


def check_after_kill(folder: Path, logged: list[int]) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        raw = db.execute("SELECT total(looks) FROM raw").fetchone()[0]
        for table in ("minutes", "hours"):
            assert db.execute(f"SELECT total(looks) FROM {table}").fetchone()[0] == raw  # noqa: S608 - ours
    state, notes = again(folder)
    assert set(logged) <= set(incident_log.read(folder / LOG).incidents)
    assert not [one for one in notes if "set aside" in one]
    for number, one in state.book.open.items():
        assert all(state.pulses[each].state == "down" for each in one.members), number


def test_a_kill_tears_nothing(tmp_path: Path) -> None:
    chance = random.Random(1)
    check_after_kill(tmp_path, killed(tmp_path, chance))


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_kills_at_any_moment_tear_nothing(tmp_path: Path) -> None:
    chance = random.Random(2)
    for _ in range(60):
        check_after_kill(tmp_path, killed(tmp_path, chance))
