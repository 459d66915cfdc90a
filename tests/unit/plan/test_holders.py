"""Who has what only one host of a fleet may have: tables, and moves that are cut off anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cartwheel.host.wire.assigned import Assigned
from cartwheel.plan.holders import Fleet, Held, Only, decide, here, onlies, places, troubles
from cartwheel.settings.toml_tables import Settings

ABC = ("a", "b", "c")
NEW = Assigned({"web": 1})


def has(*hosts: str, says: str = "", on: tuple[str, ...] = ABC) -> dict[str, Assigned]:
    """What these hosts say of beat; `says`: who has it, by the word of the others."""
    written = {"beat": says} if says else {}
    return {
        host: Assigned({"web": 1, "beat": 1}, {"beat": host})
        if host in hosts
        else Assigned({"web": 1}, written)
        for host in on
    }


def of_timer(reached: dict[str, Assigned]) -> dict[str, Assigned]:
    """The same, if beat is a timer."""
    return {
        host: Assigned(
            {"web": 1},
            {f"timer {name}": who for name, who in one.holders.items()},
            timers=("beat",) if one.has("beat") else (),
        )
        for host, one in reached.items()
    }


@pytest.mark.parametrize(
    ("reached", "only", "more", "now", "then", "written"),
    [
        # nobody ever had it: the first by name, or the chosen one
        (has(), {}, {}, "a", "a", "a"),
        (has(), {"hosts": ("c", "b")}, {}, "b", "b", "b"),
        (has(), {"on": "c"}, {}, "c", "c", "c"),
        (has(), {"on": "d"}, {}, None, None, ""),
        (has(), {"hosts": ()}, {}, None, None, ""),
        # it is where it is
        (has("b"), {}, {}, "b", "b", "b"),
        (has("b", on=("b",)), {}, {}, "b", "b", "b"),
        (has("b"), {"on": "b"}, {}, "b", "b", "b"),
        # it moves where that is certain
        (has("b"), {"on": "c"}, {}, "b", "c", "b"),
        (has("b"), {"hosts": ("a", "c")}, {}, "b", "a", "b"),
        (has("b", on=("a", "b")), {"on": "c"}, {}, "b", "b", "b"),
        (has("z", on=("a", "b", "z")), {"hosts": ("a", "b")}, {}, "z", "a", "z"),
        # the holder is not in the run
        (has(says="c", on=("a", "b")), {}, {}, None, None, "c"),
        (has(says="c", on=("a", "b")), {}, {"missed": ("c",)}, None, None, "c"),
        (has(says="z"), {}, {}, None, None, "z"),
        (has(says="z"), {"on": "b"}, {}, None, None, "z"),
        (has(says="z"), {}, {"move": True}, None, "a", ""),
        (has(says="c", on=("a", "b")), {"on": "b"}, {"move": True}, None, "b", ""),
        # nobody knows
        (has(on=("a", "b")), {}, {}, None, None, ""),
        (has(on=("a", "b")), {}, {"move": True}, None, "a", ""),
        # it was cut off while it moved: it may still end somewhere
        (has(says="b"), {}, {}, None, "a", ""),
        (has(says="b"), {"on": "c"}, {}, None, "c", ""),
        (has(says="b", on=("a", "b")), {}, {}, None, None, ""),
        # one host is the whole fleet: it was there, and a rollback to an older release took it away
        (has(says="a", on=("a",)), {"hosts": ("a",)}, {"hosts": ("a",)}, "a", "a", "a"),
        (has(says="b", on=("a",)), {"hosts": ("a",)}, {"hosts": ("a",)}, None, None, "b"),
        # two have it
        (has("b", "c"), {}, {}, "b", "b", "b"),
        (has("b", "c"), {"on": "c"}, {}, "c", "c", "c"),
    ],
)
def test_who_has_it_and_who_gets_it(
    reached: dict[str, Assigned],
    only: dict[str, Any],
    more: dict[str, Any],
    now: str | None,
    then: str | None,
    written: str,
) -> None:
    for name, those in (("beat", reached), ("timer beat", of_timer(reached))):
        known = Only(**{"name": name, "hosts": ABC, **only})
        fleet = Fleet(**{"hosts": ABC, "reached": those, **more})
        found = decide(known, fleet)
        assert (found.now, found.then, found.written) == (now, then, written)


@pytest.mark.parametrize(
    ("reached", "more", "is_known"),
    [
        (has("b"), {}, True),
        (has(says="b"), {}, True),
        (has(says="z"), {"move": True}, False),
        (has(says="b", on=("a", "b")), {"move": True}, False),
        ({**has(says="b"), "b": NEW}, {}, False),
    ],
)
def test_whether_it_can_go_on_from_where_it_ended(
    reached: dict[str, Assigned], more: dict[str, Any], is_known: bool
) -> None:
    """Not if the host that had it last is not there, or is new."""
    fleet = Fleet(**{"hosts": ABC, "reached": reached, **more})
    assert decide(Only("beat", ABC), fleet).is_known == is_known


@pytest.mark.parametrize(
    ("reached", "more", "note"),
    [
        (has(), {}, ""),
        (has("b"), {}, ""),
        (has(says="c", on=("a", "b")), {}, ""),
        (has(says="c", on=("a", "b")), {"missed": ("c",)}, "beat is on c, which cannot be reached"),
        (has(says="z"), {}, "beat is on z, which is no host of the app any more: it stays there"),
        (has(on=("a", "b")), {}, "this run does not reach c: no host starts it"),
        (has(says="b"), {}, "beat runs nowhere; a gets it once all hosts have confirmed"),
        (has("b", "c"), {}, "beat was on b, c; only b keeps it"),
    ],
)
def test_a_person_hears_of_it(
    reached: dict[str, Assigned], more: dict[str, Any], note: str
) -> None:
    fleet = Fleet(**{"hosts": ABC, "reached": reached, **more})
    found = decide(Only("beat", ABC), fleet)
    assert note in found.note if note else not found.note


def test_what_runs_on_a_host_in_its_switch() -> None:
    possible = Assigned({"web": 1, "beat": 1, "worker": 2})
    held = (Held("beat", "a", "b", "a"),)
    assert here(possible, "a", held).counts == {"web": 1, "worker": 2, "beat": 1}
    assert here(possible, "b", held).counts == {"web": 1, "worker": 2}
    assert here(NEW, "a", held).counts == {"web": 1, "beat": 1}, "until it moves"
    assert here(possible, "b", held).holders == {"beat": "a"}
    timers = Assigned({"web": 1}, timers=("all", "beat"))
    held = (Held("timer beat", "a", "b", "a"),)
    assert here(timers, "a", held) == Assigned({"web": 1}, {"timer beat": "a"}, {}, ("all", "beat"))
    assert here(timers, "b", held) == Assigned({"web": 1}, {"timer beat": "a"}, {}, ("all",))
    assert here(NEW, "a", held).timers == ("beat",), "until it moves"


def test_which_hosts_may_have_it() -> None:
    beat = {"command": "beat", "exclusive": True, "roles": ["worker"], "on": "b"}
    processes = {"beat": beat, "worker": {"command": "work"}}
    each = {"command": "beat", "schedule": "@daily"}
    timers = {
        "beat": {**each, "on": "c", "timeout_seconds": 100},
        "all": {**each, "hosts": "all"},
    }
    settings = Settings.model_validate(
        {"app": {"name": "shop", "source": "."}, "processes": processes, "timers": timers}
    )
    hosts = {"a": ["web"], "c": ["web", "worker"], "b": ["worker"]}
    assert onlies(settings, hosts) == [
        Only("beat", ("b", "c"), "b", 60),
        Only("timer beat", ("a", "c"), "c", 130),
    ]


def said(reached: Mapping[str, Assigned]) -> list[str]:
    return troubles({host: (("beat",), what) for host, what in reached.items()})


def test_what_status_says() -> None:
    assert said(has("b")) == []
    assert said(has("b", "c")) == ["beat is on b and c, and may only be on one"]
    assert said(has()) == said(has(says="b")) == ["beat runs nowhere"]
    assert said(has(says="c", on=("a", "b"))) == [], "another host has it"
    assert troubles({"a": ((), NEW)}) == [], "the live release does not know it"
    timers = of_timer(has("b", "c"))
    by_host = {host: (("timer beat",), what) for host, what in timers.items()}
    found = troubles(by_host)
    assert found == ["timer beat is on b and c, and may only be on one"]
    assert places(by_host) == []


def test_where_it_is() -> None:
    for reached, found in (
        (has("b"), ["beat is on b"]),
        (has(says="b", on=("a",)), ["beat is on b"]),
        (has(says="b"), []),
    ):
        assert places({host: (("beat",), what) for host, what in reached.items()}) == found
