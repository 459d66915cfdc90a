"""What an access log says about an app: requests that fail, are slow, or are too many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cartwheel.diagnosis import requests, traffic, web_errors
from cartwheel.diagnosis.cause import Cause
from cartwheel.host.wire.diagnosis import Minute, Visits
from tests.unit.diagnosis.web_case import HOUR, MINUTE, NOW, Ask, Log, judged, look

RULES = (requests.causes, web_errors.causes, traffic.causes)

# A shop as it should be: some 404, a page that is always slow, a 5xx now and then.
SHOP = (
    Ask("/", 20, 0.02),
    Ask("/items/*", 40, 0.04),
    Ask("/cart", 8, 0.08, fails=0.01),
    Ask("/report", 1, 7.0),
    Ask("/search", 6, 0.4, fails=0.04, code=499),
    Ask("/static/app.css", 20, 0.0),
    Ask("/wp-login.php", 2, 0.01, fails=1.0, code=404),
)


def times(asks: tuple[Ask, ...], factor: float) -> list[Ask]:
    """The same requests, this many times as often."""
    return [replace(one, a_minute=one.a_minute * factor) for one in asks]


def with_change(path: str, **change: float | str | bool) -> list[Ask]:
    """The shop with something else at a path; `*` is each."""
    return [
        replace(one, **change) if path in (one.path, "all") else one  # type: ignore[arg-type]  # its fields differ
        for one in SHOP
    ]


def causes(log: Log, tmp_path: Path) -> list[Cause]:
    return judged(look(log, tmp_path / "access.log"), RULES)


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(2, 12))]
)
@pytest.mark.parametrize("factor", [0.05, 0.5, pytest.param(5.0, marks=pytest.mark.nightly)])
def test_a_healthy_busy_host(tmp_path: Path, factor: float, seed: int) -> None:
    log = Log(seed)
    for hour in range(2, 8):  # a night
        log.add(hour * HOUR, (hour - 1) * HOUR, *times(SHOP, factor * (0.2 if hour > 4 else 1)))
    log.add(HOUR, 0.0, *times(SHOP, factor * 1.5))
    assert causes(log, tmp_path) == []


def test_a_path_that_never_worked(tmp_path: Path) -> None:
    """A rare one: bots ask for it, or nobody misses it."""
    log = Log()
    log.add(2 * HOUR, 0.0, *SHOP, Ask("/boom", 0.2, fails=1.0))
    assert causes(log, tmp_path) == []


@pytest.mark.parametrize(
    ("count", "failed", "is_trouble"),
    [(100, 3, False), (100, 8, True), (8, 3, True), (4, 2, False), (10_000, 199, False)],
)
def test_a_minute_of_failures(count: int, failed: int, is_trouble: bool) -> None:
    minutes = [Minute(NOW - 60 * ago, 100, 0, 0.1) for ago in range(9, 1, -1)]
    minutes.append(Minute(NOW - 60, count, failed, 0.1, first_failed=NOW - 50))
    found = Visits(1.0, 800 + count, failed, 0.1, 0.1, {}, (), (), tuple(minutes))
    run = requests.failing_run(found)
    assert (run is not None) is is_trouble
    assert run is None or (run.begin, run.failed, run.count) == (NOW - 50, failed, count)


@pytest.mark.parametrize("seconds", [20.0, 60.0, 300.0])
def test_a_host_that_nobody_asked_before(tmp_path: Path, seconds: float) -> None:
    log = Log()
    log.add(seconds, 0.0, *(replace(one, client="192.0.2.1") for one in times(SHOP, 3)))
    assert causes(log, tmp_path) == []


@pytest.mark.parametrize(
    ("since", "asks", "title"),
    [
        # All of the app, since then: much or little traffic.
        (600.0, with_change("all", fails=1.0), "% of the requests fail with 5xx"),
        (60.0, with_change("all", fails=0.3), "% of the requests fail with 5xx"),
        (600.0, times((Ask("/", 60, fails=1.0),), 0.02), "/ fails with 500"),
        # One path of many.
        (900.0, with_change("/cart", fails=1.0), "/cart fails with 500"),
        (1200.0, with_change("/report", fails=1.0, code=502), "/report fails with 502"),
        (300.0, with_change("/items/*", fails=0.5), "/items/* fails with 500"),
    ],
)
def test_failures(tmp_path: Path, since: float, asks: list[Ask], title: str) -> None:
    log = Log()
    log.add(2 * HOUR, since, *SHOP)
    log.add(since, 0.0, *asks)
    [found] = causes(log, tmp_path)
    assert found.slug == requests.FAILS
    assert title in found.title
    # The trouble began then, and not with the first 5xx of that time.
    assert found.began == pytest.approx(NOW - since, abs=max(90.0, since / 5))
    assert found.last is None
    assert found.evidence


def test_failures_that_are_over(tmp_path: Path) -> None:
    log = Log()
    log.add(2 * HOUR, HOUR, *SHOP)
    log.add(HOUR, 3000.0, *with_change("all", fails=0.8))
    log.add(3000.0, 0.0, *SHOP)
    [found] = causes(log, tmp_path)
    assert found.began == pytest.approx(NOW - HOUR, abs=60)
    assert found.last == pytest.approx(NOW - 3000, abs=60)


def test_whose_answers_they_are(tmp_path: Path) -> None:
    log = Log()
    log.add(HOUR, 600.0, *SHOP)
    log.add(600.0, 0.0, *with_change("all", fails=1.0, code=502))
    [found] = causes(log, tmp_path)
    assert "nginx gets no answer from the app" in found.title
    log = Log()
    log.add(HOUR, 600.0, *SHOP)
    log.add(600.0, 0.0, *with_change("all", fails=1.0, code=503))
    [found] = causes(log, tmp_path)
    assert "nginx" not in found.title


def test_a_site_that_somebody_closed(tmp_path: Path) -> None:
    closed = Ask("/", 60, 0.0, fails=1.0, code=503)
    log = Log()
    log.add(HOUR, 0.0, closed)
    assert causes(log, tmp_path) == []


@pytest.mark.parametrize(
    ("since", "asks", "title"),
    [
        (900.0, with_change("/search", seconds=4.0), "/search has become slow"),
        (120.0, with_change("/cart", seconds=2.0), "/cart has become slow"),
        (600.0, [replace(one, seconds=one.seconds and 3.0) for one in SHOP], "most pages"),
        (7000.0, with_change("/search", seconds=4.0), "/search has become slow"),
    ],
)
def test_slow_answers(tmp_path: Path, since: float, asks: list[Ask], title: str) -> None:
    log = Log()
    log.add(4 * HOUR, since, *SHOP)
    log.add(since, 0.0, *asks)
    [found] = causes(log, tmp_path)
    assert found.slug == requests.SLOW
    assert title in found.title
    assert found.began == pytest.approx(NOW - since, abs=350)
    assert found.last is None


def test_slow_from_the_begin_of_the_log(tmp_path: Path) -> None:
    log = Log()
    log.add(600.0, 0.0, *with_change("/items/*", seconds=6.0))
    [found] = causes(log, tmp_path)
    assert found.slug == requests.SLOW
    assert "/items/* is slow" in found.title


def test_clients_that_do_not_wait(tmp_path: Path) -> None:
    log = Log()
    log.add(2 * HOUR, 900.0, *SHOP)
    log.add(900.0, 0.0, *with_change("all", fails=0.5, code=499))
    [found] = causes(log, tmp_path)
    assert found.slug == requests.LEFT
    assert found.began == pytest.approx(NOW - 900, abs=90)


FLOOD = Ask("/search", 900, 0.4, client="203.0.113.9", agent="crawler")


@pytest.mark.parametrize("by_one", [True, False])
def test_a_surge(tmp_path: Path, by_one: bool) -> None:
    flood = FLOOD if by_one else replace(FLOOD, client="")
    slow = [replace(one, seconds=one.seconds * 30) for one in SHOP]
    log = Log()
    log.add(2.5 * HOUR, 240.0, *SHOP)
    log.add(240.0, 0.0, *slow, flood)
    found = {one.slug: one for one in causes(log, tmp_path)}
    surge = found.pop("traffic")
    assert ("203.0.113.9" in surge.title) is by_one
    assert ("203.0.113.9 says it is: crawler" in surge.evidence) is by_one
    assert surge.explains >= set(found) == {requests.SLOW}
    assert surge.began == pytest.approx(NOW - 240, abs=60)


def test_the_program_of_a_surge_is_that_of_its_client(tmp_path: Path) -> None:
    """Not that of a check that makes more requests over the whole time."""
    log = Log()
    check = Ask("/", 100, 0.01, client="192.0.2.250", agent="check")
    slow = [replace(one, seconds=one.seconds * 30) for one in SHOP]
    log.add(2.5 * HOUR, 240.0, *SHOP, check)
    log.add(240.0, 0.0, *slow, FLOOD, check)
    surge = next(one for one in causes(log, tmp_path) if one.slug == "traffic")
    assert "203.0.113.9 says it is: crawler" in surge.evidence


def test_a_surge_that_nobody_notices(tmp_path: Path) -> None:
    log = Log()
    log.add(2.5 * HOUR, 240.0, *SHOP)
    log.add(240.0, 0.0, *SHOP, FLOOD)
    assert causes(log, tmp_path) == []


def _one_client(before: str, by_others: float, slower: float) -> Log:
    """The usual number of requests, nearly all by one client in the last minutes."""
    total = sum(one.a_minute for one in SHOP)
    late = times(tuple(replace(one, seconds=one.seconds * slower) for one in SHOP), by_others)
    client = FLOOD.client
    search = replace(FLOOD, a_minute=total * (1 - by_others), seconds=0.05 * slower, client=before)
    log = Log()
    log.add(2.5 * HOUR, 600.0, *times(SHOP, by_others), replace(search, seconds=0.05))
    log.add(600.0, 0.0, *late, replace(search, client=client))
    return log


def test_a_client_that_makes_nearly_all_requests(tmp_path: Path) -> None:
    found = causes(_one_client("", 0.1, 30), tmp_path)
    by_slug = {one.slug: one for one in found}
    assert set(by_slug) == {"traffic", requests.SLOW}
    client = by_slug["traffic"]
    assert client.title.startswith("203.0.113.9 makes 9")
    assert "web.rate_limit" in client.todo
    assert "203.0.113.9 says it is: crawler" in client.evidence
    assert client.began == pytest.approx(NOW - 600, abs=60)
    assert requests.SLOW in client.explains


@pytest.mark.parametrize(
    ("before", "by_others", "slower", "found"),
    [
        ("", 0.1, 1, set()),  # nothing else is wrong
        (FLOOD.client, 0.1, 30, {requests.SLOW}),  # it always did: a proxy, or an office
        ("", 0.5, 30, {requests.SLOW}),
    ],
)
def test_one_client_alone_is_no_cause(
    tmp_path: Path, before: str, by_others: float, slower: float, found: set[str]
) -> None:
    log = _one_client(before, by_others, slower)
    assert {one.slug for one in causes(log, tmp_path)} == found


def test_a_morning_is_no_surge(tmp_path: Path) -> None:
    slow = [replace(one, seconds=one.seconds * 30) for one in SHOP]
    log = Log()
    log.add(20 * HOUR, 15 * HOUR, *times(SHOP, 0.5))
    log.add(15 * HOUR, 0.5 * HOUR, *times(SHOP, 0.05))
    log.add(0.5 * HOUR, 0.0, *times(tuple(slow), 1.0))
    assert {one.slug for one in causes(log, tmp_path)} == {requests.SLOW}


def test_requests_that_are_too_large(tmp_path: Path) -> None:
    log = Log()
    log.add(HOUR, 600.0, *SHOP)
    log.add(600.0, 0.0, *SHOP, Ask("/upload", 2, 0.01, fails=1.0, code=413))
    [found] = causes(log, tmp_path)
    assert found.slug == "web-errors-body"
    assert "/upload" in found.title
    assert "web.client_max_body_size" in found.todo
    assert found.began == pytest.approx(NOW - 600, abs=2 * MINUTE)


def test_a_log_of_another_format_is_said(tmp_path: Path) -> None:
    log = Log()
    log.add(HOUR, 0.0, *SHOP)
    log.lines = [(at, line.replace(" probe=", " more=")) for at, line in log.lines]
    found = look(log, tmp_path / "access.log")
    assert found.visits is None
    [said] = found.unread
    assert f"{len(log.lines)} of {len(log.lines)} lines are not of the format" in said
