"""What a look brings for the page beside numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import AppLook, HostLook, ReleaseLook
from cartwheel_monitor import database, remembered
from cartwheel_monitor.observations import Look


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(database.connect(tmp_path / "monitor.sqlite")) as db:
        yield db


def seen(db: sqlite3.Connection, at: float, live: ReleaseLook) -> None:
    app = AppLook("shop", "1.0", live=live)
    remembered.write(db, Look("web1", at, HostLook(apps=(app,)), "", 0.1))


def test_settings_that_a_host_notes_later_are_kept(db: sqlite3.Connection) -> None:
    seen(db, 100.0, ReleaseLook("1.0", packages={"flask": "3"}))
    assert remembered.release(db, "shop", "1.0") == ReleaseLook("1.0", packages={"flask": "3"})
    for at, digest in ((120.0, "d1"), (140.0, "d2")):  # the second by a restart
        seen(db, at, ReleaseLook("1.0", settings={"web.listen": digest}))
        seen(db, at + 1, ReleaseLook("1.0"))  # a host on which they cannot be read
        found = remembered.release(db, "shop", "1.0")
        assert found is not None and found.settings == {"web.listen": digest}
    assert [at for at, _one in remembered.releases(db, "shop")] == [100.0], "when first seen"


def test_what_was_before_the_first_look_is_kept_once(db: sqlite3.Connection) -> None:
    before = tuple(Entry(seq, 10.0 * seq, "deploy", "1.0", result="confirmed") for seq in (1, 2))
    app = AppLook("shop", "1.0", past=before)
    for at in (100.0, 120.0):  # again after its cursor was lost
        remembered.write(db, Look("web1", at, HostLook(apps=(app,)), "", 0.1))
    found = remembered.entries(db, "shop", 0.0, 200.0)
    assert [(one.host, one.at, one.entry.seq) for one in found] == [
        ("web1", 20.0, 2),
        ("web1", 10.0, 1),
    ]
