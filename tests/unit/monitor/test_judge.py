"""What the judge keeps between looks: silences, closed sites, what is gone, and a restart."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import (
    BOUNDS,
    AppLook,
    DiskLook,
    HostLook,
    ProcessLook,
    Requests,
    TimerLook,
)
from cartwheel_monitor import records
from cartwheel_monitor.judge import Deployed, Judge, Watched
from cartwheel_monitor.observations import Look, Probe, Traffic, Usual
from cartwheel_monitor.quiet import Silence
from cartwheel_monitor.recent import TRAIL_SECONDS, Restarts, Trail, Window
from cartwheel_monitor.subjects import AGAIN_SECONDS, KINDS, Subject

AT = 1_790_000_000.0
WATCHED = Watched(frozenset({"web1", "web2"}), {"shop": frozenset({"web1", "web2"})})
WEB = ProcessLook("web", "web", "active")
SHOP = AppLook(app="shop", release="1.0.aa", front="", processes=(WEB,))
BAD = replace(SHOP, processes=(replace(WEB, active="failed"),))
FULL = (DiskLook("/", 100 << 30, 1 << 30),)
GATHERED = max(kind.gather_seconds for kind in KINDS.values())


def look(at: float, app: AppLook | None = SHOP, host: str = "web1", **given: object) -> Look:
    apps = (app,) if app else ()
    seen = HostLook(time=at, memory=9, memory_available=9, apps=apps, **given)  # type: ignore[arg-type]  # fields of a test
    return Look(host, at, seen)


def texts(judge: Judge, at: float) -> list[str]:
    return [f"{one.news} {one.incident.kind}" for one in judge.news(at)]


def down(judge: Judge, at: float, app: AppLook | None = BAD, **given: object) -> list[str]:
    """Three bad looks in a row, and what is told of them."""
    for number in range(3):
        judge.looked(look(at + 20 * number, app, "web1", **given))
    return texts(judge, at + 40 + GATHERED)


def test_a_silence_hides_what_begins_and_what_lasts() -> None:
    judge = Judge(WATCHED)
    assert down(judge, AT) == ["opened process"]
    silence = Silence(AT + 3 * AGAIN_SECONDS, "we know", "ann", host="web1")
    judge.silence(silence)
    assert texts(judge, AT + 2 * AGAIN_SECONDS) == []
    assert down(judge, AT + 2 * AGAIN_SECONDS, disks=FULL) == []
    assert texts(judge, AT + 3 * AGAIN_SECONDS + 1) == ["again process"]
    assert judge.silences == ()


def test_what_ends_in_a_silence_is_told() -> None:
    judge = Judge(WATCHED)
    down(judge, AT)
    judge.silence(Silence(AT + 9999, "we know", "ann"))
    judge.looked(look(AT + 300))
    assert texts(judge, AT + 300) == ["recovered process"]


def test_what_begins_in_a_silence_is_told_when_it_still_lasts() -> None:
    judge = Judge(WATCHED)
    judge.silence(Silence(AT + 100, "we know", "ann"))
    assert down(judge, AT) == []
    judge.end_silences()
    assert down(judge, AT + 60) == ["opened process"]


def test_a_closed_site_is_no_trouble_until_it_is_open() -> None:
    judge = Judge(WATCHED)
    closed = replace(SHOP, closed=True, front="503")
    judge.looked(look(AT, closed))
    for number in range(4):
        judge.probed(Probe("shop", AT + 10 * number, 503, 0.1, "503"))
    assert texts(judge, AT + 60) == []
    judge.looked(look(AT + 60))
    for number in range(2):
        judge.probed(Probe("shop", AT + 70 + 5 * number, 503, 0.1, "503"))
    assert texts(judge, AT + 90) == ["opened site"]


def test_a_site_is_still_closed_after_a_restart() -> None:
    judge = Judge(WATCHED)
    judge.looked(look(AT, replace(SHOP, closed=True)))
    again = Judge(WATCHED, state=records.state(records.of_state(judge.state())))
    for number in range(4):
        again.probed(Probe("shop", AT + 10 * number, 503, 0.1, "503"))
    assert texts(again, AT + 60) == []
    unwatched = Judge(Watched(frozenset({"web2"})), state=judge.state())
    assert unwatched.state().closed == {}


def test_a_deploy_restarts_processes_and_is_no_trouble() -> None:
    judge = Judge(WATCHED)
    for number in range(5):
        judge.looked(look(AT + 20 * number, replace(BAD, locked=True)))
    assert texts(judge, AT + 200) == []
    # Long after its end it counts.
    assert down(judge, AT + 200) == ["opened process"]


@pytest.mark.parametrize(
    "gone",
    [
        look(AT + 60, None),
        look(AT + 60, replace(SHOP, processes=())),
        look(AT + 60, replace(SHOP, processes=(replace(WEB, label="web-b"),))),
    ],
    ids=["app", "process", "other slot"],
)
def test_what_is_gone_from_a_host_is_over(gone: Look) -> None:
    judge = Judge(WATCHED)
    assert down(judge, AT) == ["opened process"]
    judge.looked(gone)
    assert texts(judge, AT + 60) == ["recovered process"]
    assert not judge.down


@pytest.mark.parametrize("what", ["late", "size", "units", "shop: of another version"])
def test_a_look_with_parts_that_could_not_be_read_ends_nothing_there(what: str) -> None:
    judge = Judge(WATCHED)
    down(judge, AT)
    judge.looked(look(AT + 60, None, unread={what: "slow"}))
    assert texts(judge, AT + 60) == []
    judge.looked(Look("web1", AT + 80, None, "refused"))
    assert texts(judge, AT + 80) == []


@pytest.mark.parametrize(
    "what", ["shop: requests", "shop: entries", "shop: frozen.json", "shop: timer tick", "blog: x"]
)
def test_a_part_that_is_never_read_keeps_nothing_else_open(what: str) -> None:
    judge = Judge(WATCHED)
    down(judge, AT)
    judge.looked(look(AT + 60, replace(SHOP, processes=()), unread={what: "of its own"}))
    assert texts(judge, AT + 60) == ["recovered process"]


def test_a_timer_that_cannot_be_read_is_not_over() -> None:
    judge = Judge(WATCHED)
    failed = TimerLook("tick", "failed", number=7)
    assert down(judge, AT, replace(SHOP, timers=(failed,))) == ["opened timer"]
    judge.looked(look(AT + 60, unread={"shop: timer tick": "refused"}))
    assert texts(judge, AT + 60) == []
    judge.looked(look(AT + 80, unread={"shop: timer tock": "refused"}))
    assert texts(judge, AT + 80) == ["recovered timer"]


def test_what_is_watched_no_more_is_over() -> None:
    judge = Judge(WATCHED)
    down(judge, AT)
    for number in range(2):
        judge.probed(Probe("shop", AT + 100 + number, None, 5.0, "no answer"))
    assert texts(judge, AT + 120) == ["worse site"]
    again = Judge(Watched(frozenset({"web2"})), state=judge.state(), now=AT + 130)
    (told,) = again.news(AT + 130)
    assert (told.news, told.incident.kind) == ("recovered", "site")
    assert told.incident.ended == AT + 130
    assert again.state().pulses == {}


def test_all_goes_on_after_a_restart() -> None:
    judge = Judge(WATCHED)
    entries = (Entry(3, AT, "deploy", "1.0.aa", result="confirmed", who="ann"),)
    judge.looked(look(AT, replace(BAD, entries=entries, locked=True)))
    down(judge, AT + 100)
    judge.silence(Silence(AT + 900, "we know", "ann", app="blog"))
    kept = json.loads(json.dumps(records.of_state(judge.state())))
    again = Judge(WATCHED, state=records.state(kept))
    assert again.state() == judge.state()
    assert again.deployed == {"shop": Deployed(AT, "deploy", "1.0.aa", "ann")}
    assert texts(again, AT + 200) == []
    again.looked(look(AT + 300))
    assert texts(again, AT + 300) == ["recovered process"]


def test_a_deploy_that_failed_is_told_once() -> None:
    judge = Judge(WATCHED)
    failed = Entry(3, AT, "deploy", "2.0", result="failed", who="ann", reason="x")
    judge.looked(look(AT, replace(SHOP, entries=(failed,))))
    judge.looked(look(AT + 5, replace(SHOP, entries=(failed,)), "web2"))
    found = judge.news(AT + GATHERED)
    assert [(one.news, one.incident.places) for one in found] == [
        ("opened", frozenset({"web1", "web2"}))
    ]
    for number in range(1, 400):
        judge.looked(look(AT + 20 * number))
        assert texts(judge, AT + 20 * number) == []
    assert judge.book.open == {}
    later = Entry(4, AT, "deploy", "2.0", result="failed", who="ann", reason="x")
    judge.looked(look(AT + 9000, replace(SHOP, entries=(later,))))
    assert texts(judge, AT + 9000 + GATHERED) == ["opened deploy"]


def test_a_deploy_whose_operator_was_killed_after_the_migration() -> None:
    judge = Judge(WATCHED)
    begun = Entry(3, AT, "migrate", "2.0", result="done", who="ann")
    judge.looked(look(AT, replace(SHOP, entries=(begun,), locked=True)))
    judge.looked(look(AT + 20, replace(SHOP, locked=True)))
    assert texts(judge, AT + 90) == []
    judge.looked(look(AT + 100))
    assert texts(judge, AT + 100 + GATHERED) == ["opened deploy"]
    for number in range(20):
        judge.looked(look(AT + 200 + 20 * number))
        assert texts(judge, AT + 200 + 20 * number) == []


def test_the_problem_of_an_incident_is_the_last_one() -> None:
    judge = Judge(WATCHED)
    for number in range(3):
        problem = f"no answer {number}"
        judge.probed(Probe("shop", AT + 5 * number, None, 5.0, problem))
    (one,) = judge.news(AT + 30)
    assert [each.problem for each in one.incident.members.values()] == ["no answer 2"]


def test_when_to_look_again() -> None:
    judge = Judge(WATCHED)
    judge.looked(look(AT))
    assert judge.next_look("web1", AT, 20) == AT + 20
    judge.looked(look(AT + 20, BAD))
    assert judge.next_look("web1", AT + 20, 20) == AT + 25
    judge.looked(look(AT + 25, BAD))
    assert judge.next_look("web1", AT + 25, 20) == AT + 35
    assert judge.next_look("web2", AT, 20) == AT + 20
    judge.looked(Look("web2", AT, None, "refused"))
    assert judge.next_look("web2", AT, 20) == AT + 5
    judge.probed(Probe("shop", AT, None, 5.0, "no answer"))
    assert judge.next_probe("shop", "", AT, 20) == AT + 5


# What happened in the last minutes


def requests(count: int, seconds: float = 20.0) -> AppLook:
    times = (count, *(0,) * len(BOUNDS))
    return replace(SHOP, requests=Requests(seconds, count, 1, times))


def test_a_window_adds_up_hosts_and_minutes() -> None:
    window = Window(180)
    for host in ("web1", "web2"):
        for number in range(20):
            window.add(host, AT + 20 * number, requests(10))
    now = AT + 380
    assert window.traffic(now, "shop", "web2") == {
        ("shop", "web2"): Traffic(180, 90, 9, (90, *(0,) * len(BOUNDS)))
    }
    first = window.traffic(now, "shop", "web1")
    assert first["shop", ""] == Traffic(180, 180, 18, (180, *(0,) * len(BOUNDS)))
    assert window.traffic(now + 180, "shop", "web1") == {}
    window.add("web2", now + 180, requests(7))
    assert set(window.traffic(now + 180, "shop", "web2")) == {("shop", "web2"), ("shop", "")}


def test_a_long_absence_is_not_of_the_last_minutes() -> None:
    window = Window(180)
    window.add("web1", AT, requests(1000, 3600))
    assert window.traffic(AT, "shop", "web1") == {}


def test_times_of_another_version_are_left_out() -> None:
    window = Window(180)
    window.add("web1", AT, replace(SHOP, requests=Requests(20, 5, 0, (1, 2))))
    window.add("web1", AT, requests(3))
    found = window.traffic(AT, "shop", "web1")["shop", "web1"]
    assert (found.count, sum(found.times)) == (8, 3)


@pytest.mark.parametrize(
    ("counts", "every", "found"),
    [
        ((0, 1, 2, 3), 20, 3),
        ((5, 5, 5), 20, 0),
        ((5, 0, 1), 20, 1),
        ((0, 1, 2, 3), 400, 2),
        ((0, 9), 700, 0),
    ],
)
def test_restarts_of_the_last_minutes(counts: tuple[int, ...], every: float, found: int) -> None:
    counting = Restarts(600)
    before: Look | None = None
    last: dict[tuple[str, str, str], int] = {}
    for number, count in enumerate(counts):
        one = look(AT + every * number, replace(SHOP, processes=(replace(WEB, restarts=count),)))
        last = counting.add(one, before)
        before = one
    assert last == {("shop", "web", "web"): found}


def test_a_trail_keeps_the_least_of_each_interval_for_a_week() -> None:
    trail = Trail()
    begins = AT // 3600 * 3600
    for number in range(int(TRAIL_SECONDS * 1.5 / 60)):
        trail.add(begins + 60 * number, 1000 - number % 5)
    points = trail.points
    assert {free for _at, free in points} == {996}
    assert len(points) == 288 + 24 * 7 or abs(len(points) - 288 - 24 * 7) <= 2
    assert points == tuple(sorted(points))
    trail.add(begins, 5)
    assert trail.points == points
    assert Trail(points).points == points


def test_a_timer_that_runs_stays_as_it_was() -> None:
    judge = Judge(WATCHED)
    failed = replace(SHOP, timers=(TimerLook("mail", "failed", "exit 1", 3),))
    running = replace(SHOP, timers=(TimerLook("mail", "running", "", 4),))
    assert down(judge, AT, failed) == ["opened timer"]
    assert down(judge, AT + 100, running) == []
    assert Subject("timer", "shop", "web1", "mail") in judge.down
    judge.looked(look(AT + 200, replace(SHOP, timers=(TimerLook("mail", "done", "", 4),))))
    assert texts(judge, AT + 200) == ["recovered timer"]


def test_the_usual_of_an_app_is_asked_for_its_hosts_and_the_whole() -> None:
    asked: set[tuple[str, str]] = set()

    class Asked:
        def usual(self, app: str, host: str, at: float) -> Usual:
            asked.add((app, host))
            return Usual()

        def disk(self, host: str, path: str, until: float) -> tuple[tuple[float, float], ...]:
            asked.add((host, path))
            return ()

    judge = Judge(WATCHED, history=Asked())
    judge.looked(look(AT, requests(10), disks=FULL))
    assert asked == {("shop", "web1"), ("shop", ""), ("web1", "/")}
