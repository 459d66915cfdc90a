"""The page in a test client: filled stores behind the door of a dashboard, or of a host."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from cartwheel_monitor.page import site
from cartwheel_monitor.page.door_token import PARAMETER, TokenDoor
from tests.kit import monitored
from tests.kit.monitored import Filled

TOKEN = "t0ken"


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
