"""The page in a test client: filled stores behind the door of a dashboard, or of a host."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import AppLook, ReleaseLook
from cartwheel_monitor import remembered
from cartwheel_monitor.observations import Look
from cartwheel_monitor.page import site, words
from cartwheel_monitor.page.door_token import PARAMETER, TokenDoor
from cartwheel_monitor.store import DATABASE
from tests.kit import monitored
from tests.kit.monitored import Filled

TOKEN = "t0ken"
TAGS = re.compile(r"<[^>]*>")


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """Two hosts and three days."""
    return monitored.fill(tmp_path, time.time())


@pytest.fixture
def page(filled: Filled) -> FlaskClient:
    """A browser that has been let in, in English."""
    return let_in(filled)


def let_in(filled: Filled) -> FlaskClient:
    client = site.create(filled.places, TokenDoor(TOKEN)).test_client()
    assert client.get(f"/?{PARAMETER}={TOKEN}").status_code == 302
    return client


def text_of(page: FlaskClient, path: str) -> str:
    """What a person reads, with `-` where there is nothing."""
    answer = page.get(path)
    assert answer.status_code == 200, path
    text = TAGS.sub(" ", answer.get_data(as_text=True)).replace(words.NOTHING, "-")
    return " ".join(text.split())


def store(filled: Filled) -> sqlite3.Connection:
    return sqlite3.connect(filled.places.project(filled.app) / DATABASE, isolation_level=None)


def put(filled: Filled, at: float, made: ReleaseLook) -> None:
    row = (filled.app, made.release, at, json.dumps(to_json(made)))
    store(filled).execute("INSERT OR REPLACE INTO releases VALUES (?, ?, ?, ?)", row)


def enter(filled: Filled, host: str, at: float, entry: Entry) -> None:
    row = (filled.app, host, entry.seq, at, json.dumps(to_json(entry)))
    store(filled).execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row)


def look_again(filled: Filled, host: str, problem: str = "", **fields: Any) -> AppLook:
    """The last look at a host says something else of the app."""
    db = store(filled)
    kept = dict(db.execute("SELECT key, data FROM kept"))
    last = remembered.last_looks(kept)[host]
    assert last.seen is not None
    app = replace(last.seen.apps[0], **fields)
    answered = Look(host, last.at, replace(last.seen, apps=(app,)), "", 0.1)
    look = Look(host, last.at, None, problem, 0.1) if problem else answered
    row = (remembered.look_text(look, answered), f"{remembered.LOOK}{host}")
    db.execute("UPDATE kept SET data = ? WHERE key = ?", row)
    return app
