"""A store that another program holds for itself: a backup, a check, a hand with sqlite3."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from flask.testing import FlaskClient

from cartwheel_monitor.page.reading import projects
from cartwheel_monitor.store import DATABASE
from tests.kit import monitored
from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import filled, page, text_of
from tests.unit.monitor.page.test_incidents import incident

__all__ = ["filled", "page"]


@pytest.fixture
def locked(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody else can read it."""
    monkeypatch.setattr(projects, "_BUSY_SECONDS", 0.1)
    monitored.note(filled, incident(1))
    store = filled.places.project(filled.app) / DATABASE
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE incidents SET number = number")
        yield


@pytest.mark.parametrize(
    "view",
    [
        *("/", "/incidents", "/incidents/shop/1", "/checks", "/apps/shop/", "/apps/shop/runs"),
        *("/apps/shop/runs/1-1", "/apps/shop/releases", "/apps/shop/releases/compare"),
        "/apps/shop/processes",
    ],
)
def test_a_view_says_that_it_cannot_read(page: FlaskClient, locked: None, view: str) -> None:
    assert "cannot be read: database is locked" in text_of(page, view)


def test_all_questions_of_a_request_wait_together(filled: Filled) -> None:
    (project,) = projects.every(filled.places)

    def waits() -> int:
        """Milliseconds."""
        with project.reading() as db:
            return int(db.execute("PRAGMA busy_timeout").fetchone()[0])

    assert 500 < waits() <= 1000
    object.__setattr__(project, "patience", time.monotonic() - 1)
    assert 0 < waits() <= 100
