"""Causes in the host around the app: disks, memory, clock, names, packages."""

from __future__ import annotations

from typing import Any

import pytest

from cartwheel.diagnosis import clock, health, machine, names, packages, storage
from cartwheel.diagnosis.cause import GUESSED, SOON, STOPS
from cartwheel.diagnosis.ranking import ranked
from cartwheel.diagnosis.rules import RULES
from cartwheel.host.wire.diagnosis import Change, Lookup, Visits
from tests.unit.answers import status
from tests.unit.diagnosis import cases
from tests.unit.diagnosis.cases import GB, NOW, case, slugs

MB = 1 << 20
_TMPFS: dict[str, Any] = {"path": "/run", "what": ("sockets",), "size": 64 * MB}


def test_nothing_is_found_on_a_host_that_is_well() -> None:
    assert [cause for rule in RULES for cause in rule(case())] == []


@pytest.mark.parametrize(
    ("differs", "slug", "weight"),
    [
        ({"free": 0}, "disk-full", STOPS),
        ({"free": 2 * MB}, "disk-full", STOPS),
        ({"free": 40 * MB}, "disk-full", GUESSED),
        ({"free": 200 * MB}, "", 0),
        ({"free_inodes": 0}, "inodes-full", STOPS),
        ({"free_inodes": 3000}, "inodes-full", GUESSED),
        ({"inodes": 0, "free_inodes": 0}, "", 0),  # btrfs
        ({"read_only": True}, "disk-read-only", STOPS),
        ({"read_only": True, "what": ("the system",)}, "", 0),
        ({**_TMPFS, "free": 40 * MB}, "", 0),
        ({**_TMPFS, "free": 0}, "disk-full", STOPS),
        ({"growth": 2.0 * GB}, "disk-soon", SOON),
        ({"growth": 0.1 * GB}, "", 0),
        ({"growth_now": 60.0 * GB}, "disk-soon", SOON),
        # A short burst: at this rate the disk is full in five hours.
        ({"growth_now": 2.0 * GB}, "", 0),
        ({"growth": 0.1 * GB, "growth_now": 60.0 * GB}, "disk-soon", SOON),
    ],
)
def test_disks(differs: dict[str, Any], slug: str, weight: int) -> None:
    found = list(storage.causes(case(storage=(cases.storage(**differs),))))
    assert [(one.slug, one.weight) for one in found] == ([(slug, weight)] if slug else [])


def test_a_full_disk_says_what_takes_the_room_and_what_to_do() -> None:
    log = {"/var/log/shop.log": 15 * GB, "/var/log/journal/x": GB}
    (found,) = storage.causes(case(storage=(cases.storage(free=0, largest=log),)))
    assert found.title.startswith("the disk is full: / (the app, its shared files, the logs)")
    assert "15 GB /var/log/shop.log" in found.evidence
    assert "logrotate" in found.todo
    assert "fab prune -H web1" in found.todo


@pytest.mark.parametrize(
    ("differs", "word"),
    [
        ({"deleted": {"/tmp/x (open in nginx, process 7)": 12 * GB}}, "restart what holds /tmp/x"),
        ({"largest": {"/var/log/journal/a/system.journal": 9 * GB}}, "vacuum-size"),
        ({"largest": {"/srv/shop/shared/uploads/": 9 * GB}}, "whether /srv/shop/shared/uploads/"),
        ({"largest": {"/var/log/small.log": 2 * MB}}, "free some room on /; `fab prune"),
    ],
)
def test_what_to_do_depends_on_what_is_large(differs: dict[str, Any], word: str) -> None:
    (found,) = storage.causes(case(storage=(cases.storage(free=0, **differs),)))
    assert word in found.todo


def test_a_disk_that_fills_says_when_and_by_what() -> None:
    grows = {"/srv/shop/shared/debug.log": 5 * GB}
    disk = cases.storage(growth=5.0 * GB, growing=grows)
    (found,) = storage.causes(case(storage=(disk,)))
    assert "will be full in about 2 hours" in found.title
    assert found.evidence == ("/srv/shop/shared/debug.log grows by 5.0 GB an hour",)


def test_a_full_disk_is_listed_once() -> None:
    known = status(disk={"free_bytes": 0, "free_inodes": 900000, "read_only": False})
    full = case(status=known, storage=(cases.storage(free=0),))
    assert slugs(health.causes, full) == []
    # Where nobody could look at the file systems, it is still found.
    assert slugs(health.causes, case(status=known, storage=())) == ["disk"]


@pytest.mark.parametrize(
    ("differs", "slug"),
    [
        ({"memory_available": 50 * MB, "swap_free": 0}, "memory-low"),
        ({"memory_available": 50 * MB, "swap": 0, "swap_free": 0}, "memory-low"),
        ({"memory_available": 50 * MB}, ""),  # the swap helps
        ({"swap_free": 0}, ""),  # what is there for long is never used
        ({"memory_waiting": 0.3}, "memory-low"),
        ({"memory": 0, "memory_available": 0}, ""),
        ({"load": 12.0, "cpu_waiting": 0.97}, ""),
        ({"load": 30.0, "cpu_waiting": 0.97}, "overloaded"),
        ({"load": 30.0, "cpu_waiting": 0.2}, ""),
        ({"load": 30.0, "cpu_waiting": None}, ""),
        ({"waiting": 0.7}, "disk-waits"),
        ({"waiting": None}, ""),
        ({"files": 399_000}, "files-limit"),
        ({"files": 9, "files_max": 0}, ""),
    ],
)
def test_the_host_as_a_whole(differs: dict[str, Any], slug: str) -> None:
    host = case(machine=cases.machine(**differs))
    found = slugs(machine.causes, host)
    assert found == ([slug] if slug else [])
    assert [one for rule in RULES for one in slugs(rule, host)] == found, "each cause once"


@pytest.mark.parametrize(
    ("off", "differs", "title"),
    [
        (0.0, {}, ""),
        (-45.0, {}, ""),
        (90.0, {}, "2 minutes ahead of"),
        (-7200.0, {}, "2 hours behind"),
        (
            0.0,
            {"synchronized": False},
            "systemd-timesyncd.service runs, but does not set the clock",
        ),
        (0.0, {"synchronized": False, "time_service_seconds": 60.0}, ""),
        (0.0, {"synchronized": None, "time_service": ""}, ""),
    ],
)
def test_the_clock(off: float, differs: dict[str, Any], title: str) -> None:
    found = [one.title for one in clock.causes(case(off, machine=cases.machine(**differs)))]
    assert len(found) == bool(title)
    assert title in "".join(found)


def _server(name: str, problem: str) -> Lookup:
    return Lookup(name, problem, 2.0, "server")


def _name(problem: str, seconds: float = 0.01, *, passing: bool = True) -> Lookup:
    passes = passing and bool(problem)
    return Lookup("db", problem, seconds, "name", ("DATABASE_URL",), passes)


@pytest.mark.parametrize(
    ("lookups", "weight"),
    [
        ((), 0),
        ((_name(""),), 0),
        (
            (_name("temporary failure in name resolution"), _server("10.0.0.1", "does not answer")),
            STOPS,
        ),
        ((_server("10.0.0.1", "does not answer"), _server("10.0.0.2", "")), SOON),
        (
            (_server("10.0.0.1", "does not answer"), _server("10.0.0.2", ""), _name("", 2.2)),
            GUESSED,
        ),
        ((_server("10.0.0.1", "does not answer"),), GUESSED),
        ((_name("temporary failure in name resolution"), _server("10.0.0.1", "")), STOPS),
        # That the name alone does not exist, or that there is no name server: see `services`.
        ((_name("name or service not known", passing=False), _server("10.0.0.1", "")), 0),
        ((_name("temporary failure in name resolution"),), 0),
        ((Lookup("web1", "name or service not known", 0.1, "own"),), 0),
        ((_name("", 4.0),), GUESSED),
    ],
)
def test_names(lookups: tuple[Lookup, ...], weight: int) -> None:
    found = list(names.causes(case(lookups=lookups)))
    assert [one.weight for one in found] == ([weight] if weight else [])


def test_a_name_is_unknown_since_the_files_that_know_it_were_changed() -> None:
    changes = (
        Change(NOW - 9000, "file", "/etc/hosts changed"),  # before the time that is asked about
        Change(NOW - 600, "file", "/etc/hosts changed"),
        Change(NOW - 60, "file", "/etc/cron.d/x changed"),
    )
    lookups = (_name("temporary failure in name resolution"), _server("10.0.0.1", "refuses"))
    (found,) = names.causes(case(lookups=lookups, changes=changes))
    assert found.began == NOW - 600
    (found,) = names.causes(case(lookups=lookups))
    assert found.began is None


def _visits(failed: int) -> Visits:
    return Visits(1.0, 1000, failed, 0.1, 0.2, {}, (), (), ())


def test_replaced_libraries_are_a_cause_only_on_a_host_that_is_ill() -> None:
    old = cases.machine(replaced=("/usr/lib/libssl.so.3",), newest_kernel="6.1.0-38-amd64")
    assert slugs(packages.causes, case(machine=old)) == []
    assert slugs(packages.causes, case(machine=old, visits=_visits(3))) == []
    assert slugs(packages.causes, case(machine=old, visits=_visits(50))) == ["replaced"]
    ill = status(serving={"problem": "no answer"})
    assert slugs(packages.causes, case(machine=old, status=ill)) == ["replaced"]


def test_a_full_disk_comes_first_and_the_app_follows() -> None:
    ill = status(serving={"problem": "answers 500"})
    change = Change(NOW - 60, "file", "/etc/x changed")
    found = ranked(case(status=ill, storage=(cases.storage(free=0),), changes=(change,)))
    assert [one.cause.slug for one in found] == ["disk-full", "app-ill"]
    assert found[1].follows == ("disk-full",)
