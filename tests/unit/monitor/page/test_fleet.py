from __future__ import annotations

from flask.testing import FlaskClient

from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import filled, page

__all__ = ["filled", "page"]


def test_it_shows_what_is_live_where(page: FlaskClient, filled: Filled) -> None:
    text = page.get("/").get_data(as_text=True)
    for host in filled.hosts:
        assert host in text
    assert filled.releases[-1] in text and filled.url in text and "ann" in text
    assert filled.releases[0] not in text
