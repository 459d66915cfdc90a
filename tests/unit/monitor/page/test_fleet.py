from __future__ import annotations

import json
import re

from flask.testing import FlaskClient

from cartwheel_monitor.page.reading import health
from cartwheel_monitor.store import DATABASE
from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import filled, let_in, look_again, page, store, text_of

__all__ = ["filled", "page"]


def test_it_shows_what_is_live_where(page: FlaskClient, filled: Filled) -> None:
    text = page.get("/").get_data(as_text=True)
    for host in filled.hosts:
        assert host in text
    assert filled.releases[-1] in text and filled.url in text and "ann" in text
    assert filled.releases[0] not in text


def test_a_project_that_nobody_has_looked_at_is_there(filled: Filled) -> None:
    (filled.places.project(filled.app) / DATABASE).unlink()
    text = text_of(let_in(filled), "/")
    for part in (*filled.hosts, filled.url, "not looked at yet", "not asked yet"):
        assert part in text, part
    assert "cannot be read" not in text


def test_a_monitor_with_problems_does_not_say_that_nothing_is_wrong(filled: Filled) -> None:
    said = json.loads(filled.places.status.read_text())
    for problems, shown in (([], "Nothing is wrong."), (["full"], "The monitor itself has 1 prob")):
        filled.places.status.write_text(json.dumps({**said, "problems": problems}))
        text = text_of(let_in(filled), "/")
        assert shown in text and ("Nothing is wrong." in text) == (not problems)


def test_what_is_wrong_with_a_host_stands_beside_its_name(filled: Filled) -> None:
    look_again(filled, "web1", problem="no answer")
    text = text_of(let_in(filled), "/")
    assert "web1 no answer" in text and "web2 well" in text


def test_a_bar_shows_each_day_once_and_says_what_went_wrong(filled: Filled) -> None:
    db = store(filled)
    wanted = "SELECT id FROM subjects WHERE app = 'shop' AND host = 'web1' AND about = ''"
    db.execute(f"UPDATE days SET bad = looks / 2 WHERE subject = ({wanted})")  # noqa: S608 - ours
    shown = let_in(filled).get("/").get_data(as_text=True)
    (bar,) = re.findall(r'<svg class="bar"[^>]*aria-label="web1: .*?</svg>', shown, re.DOTALL)
    days = re.findall(r"M(\d+) 0h3v20h-3z", bar)
    assert sorted(map(int, days)) == [4 * place for place in range(health.DAYS)]
    assert bar.count("much trouble (50.00 %)") == bar.count('class="bad"') == 4
