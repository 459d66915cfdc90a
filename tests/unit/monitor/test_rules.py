"""What one look means: each limit from both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import BOUNDS, AppLook, DiskLook, HostLook, ProcessLook, TimerLook
from cartwheel_monitor.limits import DEFAULTS, Limits
from cartwheel_monitor.observations import Around, Look, Probe, Traffic, Usual
from cartwheel_monitor.rules import (
    RULES,
    behind,
    certificate,
    clock,
    deploys,
    disk,
    errors,
    memory,
    process,
    reach,
    restarts,
    slow,
    timers,
    unfinished,
)
from cartwheel_monitor.subjects import DISK, ERRORS, KINDS, MEMORY, Subject, Verdict

AT = 1_790_000_000.0
HOUR, DAY = 3600.0, 86400.0
GIB = 1 << 30
SHOP = AppLook(app="shop", release="1.0.aa", since=AT - DAY)


def look(app: AppLook | None = SHOP, host: str = "web1", at: float = AT, **given: object) -> Look:
    fields = {"time": at, "memory": 100, "memory_available": 50, **given}
    seen = HostLook(apps=(app,) if app else (), **fields)  # type: ignore[arg-type]  # fields of a test
    return Look(host, at, seen)


def only(found: Iterator[Verdict]) -> str | None:
    """What it says of the one subject that is not well, or of all."""
    every = [one.problem for one in found]
    bad = [one for one in every if one]
    assert len(bad) <= 1
    return bad[0] if bad else (None if None in every else "")


def test_every_rule_of_this_folder_is_used() -> None:
    modules = (process, restarts, errors, slow, timers, memory, disk, certificate, behind,
               deploys, unfinished, clock)  # fmt: skip
    assert {one.verdicts for one in modules} == set(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda one: one.__module__.rpartition(".")[2])
@pytest.mark.parametrize(
    "one",
    [
        Look("web1", AT, None, "refused"),
        Look("web1", AT, HostLook()),
        look(AppLook()),
        look(AppLook(app="shop", processes=(ProcessLook(),), timers=(TimerLook(),)),
             disks=(DiskLook(),)),
    ],
    ids=["no answer", "empty", "empty app", "empty parts"],
)  # fmt: skip
def test_what_is_missing_is_no_trouble(rule: object, one: Look) -> None:
    """A host of another version may say less."""
    assert rule in RULES
    for found in rule(one, Around()):
        is_gone = found.subject.kind == "process" and found.problem == "process web is ?"
        assert not found.problem or is_gone, found
        assert found.subject.kind in KINDS


# Requests


def shares(
    count: int, failed: int, usual: float | None = 0.001, *, down: bool = False
) -> str | None:
    key = ("shop", "web1")
    around = Around(
        traffic={key: Traffic(180, count, failed)},
        usual={key: Usual(usual)},
        down=frozenset({Subject(ERRORS.name, "shop", "web1")} if down else ()),
    )
    return only(errors.verdicts(look(), around))


@pytest.mark.parametrize(
    ("count", "failed", "usual", "is_bad"),
    [
        (1000, 51, 0.001, True),
        (1000, 50, 0.001, False),
        (1000, 100, 0.05, False),
        (1000, 120, 0.05, True),
        (1000, 60, None, True),
        (50, 9, 0.001, False),
        (50, 10, 0.001, True),
        (50, 10, 0.06, False),
        (50, 9, None, False),
        (50, 10, None, True),
        (50, 50, 0.5, False),
        (100_000, 5001, 0.001, True),
    ],
)
def test_errors(count: int, failed: int, usual: float | None, is_bad: bool) -> None:
    assert bool(shares(count, failed, usual)) == is_bad


def test_of_few_requests_only_that_it_is_over_can_be_said() -> None:
    assert shares(49, 49) is None
    assert shares(49, 1) is None
    assert shares(49, 0) == ""
    assert shares(0, 0) is None


def test_what_hovers_at_its_limit_stays_down() -> None:
    assert shares(1000, 45) == ""
    assert shares(1000, 45, down=True)
    assert shares(1000, 39, down=True) == ""


def times(fast: int, slow_: int, place: int = 10) -> tuple[int, ...]:
    found = [0] * (len(BOUNDS) + 1)
    found[1], found[place] = fast, slow_
    return tuple(found)


@pytest.mark.parametrize(
    ("fast", "slow_", "usual", "problem"),
    [
        (100, 20, 0.2, True),
        (100, 10, 0.2, False),
        (10_000, 700, 0.2, True),
        (10_000, 560, 0.2, False),
        (100, 20, 1.0, True),
        (100, 20, 1.7, False),
        (100, 20, None, None),
        (100, 0, None, False),
        (40, 9, 0.2, None),
        (0, 0, 0.2, None),
    ],
)
def test_slow(fast: int, slow_: int, usual: float | None, problem: bool | None) -> None:
    key = ("shop", "web1")
    traffic = Traffic(180, fast + slow_, 0, times(fast, slow_))
    around = Around(traffic={key: traffic}, usual={key: Usual(None, usual)})
    found = only(slow.verdicts(look(), around))
    assert (None if found is None else bool(found)) == problem


@pytest.mark.parametrize(
    ("found", "p95"),
    [
        (times(0, 0), None),
        (times(100, 0), 0.0975),
        (times(0, 100, 0), 0.0475),
        (times(0, 100, 13), 30.0),
        ((), None),
        ((1,), 0.0475),
    ],
)
def test_p95(found: tuple[int, ...], p95: float | None) -> None:
    assert slow.p95(found) == (None if p95 is None else pytest.approx(p95))


def test_half_of_the_requests() -> None:
    assert slow.quantile(times(100, 0), 0.5) == pytest.approx(0.075)
    assert slow.quantile(times(20, 100, 13), 0.5) == 30.0
    assert slow.quantile((), 0.5) is None


@pytest.mark.parametrize(
    ("limit", "count"),
    [(0.0, 110.0), (0.15, 60.0), (1.0, 10.0), (4.0, 5.0), (5.0, 0.0), (99.0, 0.0)],
)
def test_how_many_are_slower(limit: float, count: float) -> None:
    found = [0] * (len(BOUNDS) + 1)
    found[2], found[10] = 100, 10
    assert slow.slower(found, limit) == pytest.approx(count)
    assert slow.slower((*(0,) * len(BOUNDS), 7), 99.0) == 7


# Processes, timers


@pytest.mark.parametrize(
    ("one", "app", "problem"),
    [
        (ProcessLook("web", "web", "active"), SHOP, ""),
        (ProcessLook("web", "web", "reloading"), SHOP, ""),
        (ProcessLook("web", "web", "failed", "oom-kill"), SHOP, "process web is failed (oom-kill)"),
        (ProcessLook("web", "web", "inactive", "success"), SHOP, "process web is inactive"),
        (ProcessLook("web", "web", "failed"), replace(SHOP, stopped=True), ""),
        (ProcessLook("web", "web", "activating", since=AT - 5), SHOP, None),
        (ProcessLook("web", "web", "activating", since=AT - 61), SHOP, "process web is activating"),
        (ProcessLook("web", "web", "activating"), SHOP, "process web is activating"),
    ],
)
def test_a_process(one: ProcessLook, app: AppLook, problem: str | None) -> None:
    found = process.verdicts(look(replace(app, processes=(one,))), Around())
    assert next(found).problem == problem


@pytest.mark.parametrize(
    ("app", "is_bad"),
    [
        (replace(SHOP, front="502"), True),
        (replace(SHOP, front=""), False),
        (replace(SHOP, front="503", closed=True), None),
        (replace(SHOP, front="502", stopped=True), False),
        (SHOP, False),
    ],
)
def test_the_answer_inside(app: AppLook, is_bad: bool | None) -> None:
    found = only(process.verdicts(look(app), Around()))
    assert (None if found is None else bool(found)) == is_bad


@pytest.mark.parametrize(("count", "is_bad"), [(0, False), (2, False), (3, True)])
def test_restarts(count: int, is_bad: bool) -> None:
    app = replace(SHOP, processes=(ProcessLook("web", "web", "active"),))
    around = Around(restarts={("shop", "web", "web"): count})
    assert bool(only(restarts.verdicts(look(app), around))) == is_bad
    assert not only(restarts.verdicts(look(replace(app, stopped=True)), around))


@pytest.mark.parametrize(
    ("one", "problem"),
    [
        (TimerLook("mail", "done", "", 3), ""),
        (TimerLook("mail"), ""),
        (TimerLook("mail", "running"), None),
        (TimerLook("mail", "failed", "exit 1", 3), "run 3 of timer mail failed: exit 1"),
        (TimerLook("mail", "timeout", "", 3), "run 3 of timer mail failed"),
        (TimerLook("mail", "cut", "", 3), "run 3 of timer mail failed"),
        (TimerLook("mail", "failed", "", 3, paused=True), ""),
        (TimerLook("mail", "done", due=AT - 299), ""),
        (TimerLook("mail", "done", due=AT - 301), "timer mail is 5 minutes late"),
        (TimerLook("mail", "running", due=AT - 301), "timer mail is 5 minutes late"),
    ],
)
def test_a_timer(one: TimerLook, problem: str | None) -> None:
    assert only(timers.verdicts(look(replace(SHOP, timers=(one,))), Around())) == problem


# The host


@pytest.mark.parametrize(
    ("available", "down", "is_bad"),
    [(5, False, False), (4, False, True), (5, True, True), (6, True, False)],
)
def test_memory(available: int, down: bool, is_bad: bool) -> None:
    around = Around(down=frozenset({Subject(MEMORY.name, "", "web1")} if down else ()))
    assert bool(only(memory.verdicts(look(memory_available=available), around))) == is_bad


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (DiskLook("/", 100 * GIB, 5 * GIB), ""),
        (DiskLook("/", 100 * GIB, 5 * GIB - 1), "5 % is free"),
        (DiskLook("/", 1000 * GIB, 21 * GIB), ""),
        (DiskLook("/", 1000 * GIB, 19 * GIB), "2 % is free"),
        (DiskLook("/", 100, 50, 100, 4), "4 % of the inodes are free"),
        (DiskLook("/", 100, 50, 0, 0), ""),
        (DiskLook("/", 100, 50, 100, 50, read_only=True), "is read-only"),
    ],
)
def test_a_disk(one: DiskLook, says: str) -> None:
    found = only(disk.verdicts(look(disks=(one,)), Around())) or ""
    assert says in found
    assert bool(says) == bool(found)


def test_a_disk_is_well_again_only_clearly_above_its_limit() -> None:
    around = Around(down=frozenset({Subject(DISK.name, "", "web1", "/")}))
    one = DiskLook("/", 100 * GIB, int(5.5 * GIB))
    assert only(disk.verdicts(look(disks=(one,)), around))
    assert not only(disk.verdicts(look(disks=(replace(one, free=7 * GIB),)), around))


def course(*parts: tuple[float, float]) -> list[tuple[float, float]]:
    """Free GiB every 5 minutes until AT: (hours, change in GiB an hour) one after the other, from
    100."""
    found: list[tuple[float, float]] = []
    at, free = AT - sum(hours for hours, _rate in parts) * HOUR, 100.0
    for hours, rate in parts:
        for _ in range(round(hours * 12)):
            found.append((at, free))
            at, free = at + 300, free + rate / 12
    return found


BACKUP = ((23.0, 0.0), (0.5, -100.0), (0.5, 100.0))


@pytest.mark.parametrize(
    ("parts", "left"),
    [
        (((48.0, 0.0),), None),
        # It is told when what is left is twice what it took to come there.
        (((48.0, 0.0), (6.0, -5.0)), None),
        (((48.0, 0.0), (12.1, -3.0)), 21.3),
        (((48.0, 0.0), (1.5, -30.0)), 1.9),
        (((48.0, 0.0), (0.5, -150.0)), None),
        (((170.0, -0.5),), None),
        # Not a day is known.
        (((12.0, 0.0), (6.0, -10.0)), None),
        # A backup each night, also a larger one, also while it runs; logs that are rotated.
        ((*BACKUP, *BACKUP, (23.0, 0.0), (0.5, -100.0)), None),
        ((*BACKUP, *BACKUP, (23.0, 0.0), (0.5, -120.0)), None),
        (((24.0, -2.0), (0.1, 480.0)) * 3 + ((20.0, -2.0),), None),
        # A trouble beside the backup.
        ((*BACKUP, *BACKUP, (7.0, -10.0)), 3.1),
        # It grew, and does no more; it grew, and something was deleted.
        (((48.0, 0.0), (3.0, -20.0), (1.0, 0.0)), None),
        (((48.0, 0.0), (3.0, -20.0), (0.1, 200.0), (0.5, -20.0)), None),
    ],
)
def test_when_a_disk_will_be_full(
    parts: tuple[tuple[float, float], ...], left: float | None
) -> None:
    points = course(*parts)
    found = disk.full_in(points, points[-1][1], AT)
    assert (found and round(found / HOUR, 1)) == left


@pytest.mark.parametrize(
    ("off", "took", "is_bad"),
    [(0, 0, False), (59, 0, False), (61, 0, True), (-61, 0, True), (-61, 5, False), (61, 5, True)],
)
def test_a_clock(off: float, took: float, is_bad: bool) -> None:
    one = replace(look(time=AT + off), seconds=took)
    assert bool(only(clock.verdicts(one, Around()))) == is_bad


def test_when_most_clocks_are_off_it_may_be_ours() -> None:
    others = {name: look(host=name, time=AT + 99) for name in ("web2", "web3")}
    found = only(clock.verdicts(look(time=AT + 99), Around(others=others))) or ""
    assert "monitor's own clock" in found
    others["web3"] = others["web4"] = look(time=AT)
    found = only(clock.verdicts(look(time=AT + 99), Around(others=others))) or ""
    assert found == "its clock is 99 s ahead"


# Certificates


@pytest.mark.parametrize(
    ("left", "life", "says"),
    [
        (15 * DAY, 90 * DAY, ""),
        (13.9 * DAY, 90 * DAY, "ends in 13 days"),
        (13.9 * DAY, None, "ends in 13 days"),
        (3 * DAY, 6 * DAY, ""),
        (1.1 * DAY, 6 * DAY, "ends in 26 hours"),
        (10 * DAY, 47 * DAY, ""),
        (9 * DAY, 47 * DAY, "ends in 9 days"),
        (1800.0, 90 * DAY, "ends in 0 hours"),
        (-7200.0, 90 * DAY, "has ended 2 hours ago"),
    ],
)
def test_a_certificate(left: float, life: float | None, says: str) -> None:
    until = AT + left
    began = None if life is None else until - life
    inside = look(replace(SHOP, until=until, valid_from=began))
    outside = Probe("shop", AT, 200, 0.1, until=until, valid_from=began)
    for found in (
        only(certificate.verdicts(inside, Around())),
        only(certificate.of_probe(outside, DEFAULTS)),
    ):
        assert says in (found or "")
        assert bool(says) == bool(found)


def test_a_limit_can_be_set() -> None:
    around = Around(limits=Limits(certificate_seconds=30 * DAY, certificate_share=1.0))
    one = look(replace(SHOP, until=AT + 20 * DAY))
    assert only(certificate.verdicts(one, around))


# Releases


def served(*releases: str, since: float = AT - DAY, **given: object) -> str | None:
    """What is said of the last of these hosts; `given` is of the first."""
    apps = [replace(SHOP, release=one, since=since) for one in releases]
    apps[0] = replace(apps[0], **given)  # type: ignore[arg-type]  # fields of a test
    others = {f"web{n}": look(app, f"web{n}") for n, app in enumerate(apps[:-1])}
    return only(behind.verdicts(look(apps[-1], "last"), Around(others=others)))


@pytest.mark.parametrize(
    ("found", "is_bad"),
    [
        (served("2", "2", "1"), True),
        (served("2", "1", "1"), False),
        (served("1", "1", "1"), False),
        (served("2", "2", "1", since=AT - 599), None),
        (served("2", "2", "1", since=AT - 601), True),
        (served("2", "2", "1", locked=True), None),
        (served("2", "2", "1", pending=True), None),
        (served("2", "2", ""), False),
        (served("2", "1", "1", stopped=True), False),
    ],
)
def test_behind(found: str | None, is_bad: bool | None) -> None:
    assert (None if found is None else bool(found)) == is_bad


def test_of_two_hosts_the_one_that_was_deployed_last_is_right() -> None:
    old = look(replace(SHOP, release="1", since=AT - DAY), "web1")
    new = look(replace(SHOP, release="2", since=AT - HOUR), "web2")
    assert only(behind.verdicts(old, Around(others={"web2": new})))
    assert not only(behind.verdicts(new, Around(others={"web1": old})))


def test_a_host_that_has_not_answered_for_long_says_nothing() -> None:
    old = replace(look(replace(SHOP, release="2"), "web2"), at=AT - 301)
    assert only(behind.verdicts(look(), Around(others={"web2": old}))) == ""


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (Entry(1, AT, "deploy", "2", result="confirmed"), ""),
        (Entry(1, AT, "deploy", "2", result="unchanged"), ""),
        (Entry(1, AT, "deploy", "2", result="failed", who="ann", reason="x"), "by ann failed: x"),
        (Entry(1, AT, "rollback", "2", result="failed", who="ann"), "rollback of 2 by ann failed"),
        (Entry(1, AT, "deploy", "2", result="reverted", who="ann", reason="x"), "went back: x"),
        (
            Entry(1, AT, "deploy", "2", result="reverted",
                  reason="the connection to the operator was lost before the confirmation"),
            "was cut off",
        ),
        (
            Entry(1, AT, "deploy", "2", result="reverted",
                  reason="its session ended before the confirmation"),
            "was cut off",
        ),
        (Entry(1, AT, "migrate", "2", result="failed", reason="x"), "deploy of 2 by ? failed: x"),
        (Entry(1, AT, "stop", "2", result="done"), ""),
        (Entry(1, AT - 2 * DAY, "deploy", "2", result="failed", reason="x"), ""),
        (Entry(), ""),
    ],
)  # fmt: skip
def test_a_deploy(entry: Entry, says: str) -> None:
    found = only(deploys.verdicts(look(replace(SHOP, entries=(entry,))), Around())) or ""
    assert says in found
    assert bool(says) == bool(found)


@pytest.mark.parametrize(
    ("kinds", "begun"),
    [
        ([("migrate", "done")], True),
        ([("migrate", "done"), ("deploy", "confirmed")], False),
        ([("migrate", "done"), ("deploy", "failed")], False),
        ([("migrate", "failed")], False),
        ([("migrate", "done"), ("stop", "done")], True),
        ([("deploy", None)], True),
        ([("deploy", None), ("deploy", "reverted")], False),
        ([], False),
    ],
)
def test_what_a_journal_has_begun(kinds: list[tuple[str, str | None]], begun: bool) -> None:
    entries = [Entry(n, AT, kind, "2", result=result) for n, (kind, result) in enumerate(kinds)]
    assert bool(deploys.unended(entries)) == begun


@pytest.mark.parametrize(
    ("app", "is_bad"),
    [(SHOP, True), (replace(SHOP, locked=True), False), (replace(SHOP, pending=True), False)],
)
def test_a_deploy_that_was_cut_off(app: AppLook, is_bad: bool) -> None:
    found = only(deploys.verdicts(look(app), Around(unended={"shop": "migrate 3"})))
    assert bool(found) == is_bad


@pytest.mark.parametrize(
    ("given", "is_bad"), [({}, False), ({"pending": True}, True)],
)  # fmt: skip
def test_a_switch_that_nobody_confirmed(given: dict[str, bool], is_bad: bool) -> None:
    app = replace(SHOP, **given)  # type: ignore[arg-type]  # fields of a test
    assert bool(only(unfinished.verdicts(look(app), Around()))) == is_bad
    assert not only(unfinished.verdicts(look(replace(app, locked=True)), Around()))


def test_reach() -> None:
    assert reach.of_look(Look("web1", AT, None, "refused")).problem == "refused"
    assert reach.of_look(look()).problem == ""
    found = list(reach.of_probe(Probe("shop", AT, 502, 1.0, "it answers with 502"), DEFAULTS))
    assert [one.problem for one in found] == ["it answers with 502"]
