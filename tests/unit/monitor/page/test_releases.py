"""The views of releases, and of what differs between two."""

from __future__ import annotations

import re
import time

from flask.testing import FlaskClient

from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import ReleaseLook
from cartwheel_monitor.page.reading import projects, releases
from cartwheel_monitor.store import DATABASE
from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import TAGS, enter, filled, page, put, store, text_of

__all__ = ["filled", "page"]


def test_every_release_newest_first(page: FlaskClient, filled: Filled) -> None:
    rows = page.get("/apps/shop/releases").get_data(as_text=True).split("<tbody>")[1].split("<tr>")
    shown = zip(rows[1:], reversed(filled.releases), strict=True)
    assert all(name in row for row, name in shown)
    newest, *others = (" ".join(TAGS.sub(" ", row).split()) for row in rows[1:])
    assert "1.2.0 0000002 ann: new prices" in newest and "3 live web1, web2" in newest
    assert all("live" not in row.replace("what it changed", "") for row in others)
    assert "what it changed" not in others[-1], "there is none before the first"


def test_a_release_of_which_only_a_journal_tells(page: FlaskClient, filled: Filled) -> None:
    enter(filled, "web1", 1e9, Entry(90, 1e9, "deploy", "0.1.gone", result="confirmed"))
    enter(filled, "web1", 1e9, Entry(91, 1e9, "deploy", "0.2.never", result="failed"))
    store(filled).execute("INSERT INTO entries VALUES ('shop', 'web1', 92, 5, '{torn')")
    text = text_of(page, "/apps/shop/releases")
    assert "0.1.gone Nobody saw what it is made of." in text and "0.2.never" not in text


def test_when_a_release_was_first_live_before_there_was_a_monitor(filled: Filled) -> None:
    first = filled.releases[0]
    enter(filled, "web1", 1e9, Entry(90, 1e9, "deploy", first, result="confirmed"))
    (found,) = (
        one
        for one in releases.read(projects.named(filled.places, "shop")).releases
        if one.name == first
    )
    assert found.at == 1e9


def test_releases_are_paged(page: FlaskClient, filled: Filled) -> None:
    for number in range(releases.PAGE + 10):
        put(filled, 1e9 + number, ReleaseLook(f"0.{number}.0"))
    project = projects.named(filled.places, "shop")
    first = releases.read(project)
    assert first.older is not None
    second = releases.read(project, first.older)
    assert second.older is None
    names = [one.name for one in (*first.releases, *second.releases)]
    assert names == list(first.names) and len(names) == releases.PAGE + 13
    assert f"before={first.older}" in page.get("/apps/shop/releases").get_data(as_text=True)
    assert "0.0.0" in text_of(page, f"/apps/shop/releases?before={first.older}")


def test_what_differs_between_two(page: FlaskClient, filled: Filled) -> None:
    put(filled, 1e9, ReleaseLook(
        "0.1", python="3.11.1", packages={"flask": "3.0", "old": "1"},
        settings={"web.listen": "aaaa"},
        variables={"GONE": "dddd", "SAME": "ffff"}, files={"app.ini": "eeee"},
        processes={"worker": "celery beside #11111111"}, timers={"report": "0 2 * * * #22222222"},
    ))  # fmt: skip
    put(filled, 1e9 + 1, ReleaseLook(
        "0.2", python="3.11.2", packages={"flask": "3.1", "new": "2"},
        settings={"web.listen": "bbbb"},
        variables={"SAME": "ffff", "FRESH": "cccc"}, files={"app.ini": "9999"},
        processes={"worker": "celery beside #33333333"}, timers={"report": "0 3 * * * #22222222"},
    ))  # fmt: skip
    text = text_of(page, "/apps/shop/releases/compare?from=0.1&to=0.2")
    for shown in (
        "Python 3.11.1 3.11.2 changed",
        "flask changed 3.0 3.1",
        "new added - 2",
        "old removed 1 -",
        "web.listen changed",
        "FRESH added",
        "GONE removed",
        "app.ini changed",
        "worker changed celery beside celery beside",
        "report changed 0 2 * * * 0 3 * * *",
    ):
        assert shown in text, shown
    digests = ("aaaa", "bbbb", "cccc", "dddd", "eeee", "9999", "SAME", "11111111", "33333333")
    assert [one for one in digests if one in text] == []


def test_without_names_the_live_one_is_compared_with_the_one_before(
    page: FlaskClient, filled: Filled
) -> None:
    answer = page.get("/apps/shop/releases/compare").get_data(as_text=True)
    chosen = re.findall(r"<option selected>([^<]*)<", answer)
    assert chosen == [filled.releases[-2], filled.releases[-1]]
    assert chosen == re.findall(
        r"<option selected>([^<]*)<", page.get("/apps/shop/releases").get_data(as_text=True)
    )


def test_what_is_not_known_is_said(page: FlaskClient, filled: Filled) -> None:
    live = filled.releases[-1]
    text = text_of(page, f"/apps/shop/releases/compare?from=<b>no</b>&to={live}")
    assert "Nobody saw what &lt;b&gt;no&lt;/b&gt; is made of." in text
    put(filled, 1e9, ReleaseLook("0.1"))
    text = text_of(page, f"/apps/shop/releases/compare?from=0.1&to={live}")
    assert "Packages Not known of both of them. Settings Not known of both of them." in text
    assert "Nothing that is known" in text_of(
        page, f"/apps/shop/releases/compare?from={live}&to={live}"
    )
    assert page.get("/apps/nobody/releases/compare").status_code == 404


def test_half_a_character_is_shown_as_a_question(page: FlaskClient, filled: Filled) -> None:
    put(filled, time.time(), ReleaseLook("9.9<b>", version="\ud800", who="a\udfffb"))
    assert "9.9&lt;b&gt; ?" in text_of(page, "/apps/shop/releases")
    assert "a?b" in text_of(page, "/apps/shop/releases")


def test_without_a_store_the_view_comes(page: FlaskClient, filled: Filled) -> None:
    paths = (
        *(
            "releases",
            "releases/compare",
            "runs",
            "processes",
            "releases?before=x",
            "runs?before=x",
        ),
        *("runs?before=nan", "releases?before=inf", "runs?before=-1e999"),
    )
    path = filled.places.project("shop") / DATABASE
    for text in (b"torn" * 5000, b"", None):
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        if text is not None:
            path.write_bytes(text)
        for one in paths:
            shown = text_of(page, f"/apps/shop/{one}")
            assert ("cannot be read" in shown) == (text is not None), (one, text)
