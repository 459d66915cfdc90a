"""Who has what only one host may have, by the hosts of the settings and those that are named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cartwheel.commands.holding import Holding, holding, places, troubles
from cartwheel.host.wire.facts import Facts
from cartwheel.settings.hosts import Host
from cartwheel.settings.toml_tables import Settings
from tests.unit import answers
from tests.unit.commands.test_deploy import SCENE

BOTH = ("beat", "timer mail")
KNOWN = Settings.model_validate(
    {
        "app": {"name": "shop", "source": "."},
        "processes": {"beat": {"command": "beat", "exclusive": True, "stop_seconds": 20}},
        "timers": {"mail": {"command": "mail", "schedule": "@daily", "timeout_seconds": 100}},
    }
)
A, B, LEFT = (Host(name, "settings", roles=("web",)) for name in ("a", "b", "left"))


def assigned(says: str, *, has: bool = False) -> dict[str, Any]:
    counts = {"web": 1, "beat": 1} if has else {"web": 1}
    holders = dict.fromkeys(BOTH, says)
    return {"counts": counts, "holders": holders, "slots": {}, "timers": ["mail"] if has else []}


def facts(says: str, *, has: bool = False) -> Facts:
    def change(known: dict[str, Any]) -> None:
        known["app"]["assigned"] = assigned(says, has=has)

    return answers.facts(change)


def decided(*fleet: Host, **found: Facts) -> Holding:
    chosen = tuple(one for one in (A, B, LEFT) if one.name in found)
    scene = replace(SCENE, settings=KNOWN, fleet=fleet, chosen=chosen, known=fleet)
    return holding(scene, found)


def test_a_host_that_left_the_settings_gives_it_when_it_is_named() -> None:
    """To a host of the settings; alone it keeps it, and a person hears of that."""
    found = decided(A, B, a=facts("left"), b=facts("left"), left=facts("left", has=True))
    moves = {one.name: (one.gives and one.gives.host, one.takes.host) for one in found.moves}
    assert moves == dict.fromkeys(BOTH, ("left", "a"))
    alone = decided(A, B, left=facts("left", has=True))
    assert alone.moves == ()
    note = "{} stays on left: no host of this run may have it"
    assert alone.notes == tuple(note.format(name) for name in BOTH)
    without = decided(A, B, a=facts("left"), b=facts("left"))
    assert [note.partition(": ")[0] for note in without.notes] == [
        f"{name} is on left, which is no host of the app any more" for name in BOTH
    ]


def test_how_long_a_move_waits() -> None:
    """For the last job: of a process until it is killed, of a timer for as long as it may take."""
    found = decided(A, a=facts("left"), left=facts("left", has=True))
    assert [(one.stop_seconds, one.ready_seconds) for one in found.moves] == [
        (20 + 30, 30 + 3 + 30),
        (100 + 30 + 30, 30 + 3 + 30),
    ]


def test_a_move_waits_for_the_last_job_of_an_old_release() -> None:
    def change(known: dict[str, Any]) -> None:
        known["app"]["assigned"] = assigned("left", has=True)
        before = {"processes": {"beat": {"stop_seconds": 200.0}}, "job_seconds": {"mail": 1000.0}}
        known["app"]["releases"] = [answers.release("1.a", **before)]

    found = decided(A, a=facts("left"), left=answers.facts(change))
    assert [one.stop_seconds for one in found.moves] == [200 + 30, 1000 + 30 + 30]
    assert "its last job there may take 1030 s" in found.notes[1]


def test_status_says_where_it_is_in_a_fleet() -> None:
    scene = replace(SCENE, settings=KNOWN, fleet=(A, B))
    known = {"a": assigned("b"), "b": assigned("b", has=True)}
    found = {
        host: answers.status(exclusive=list(BOTH), assigned=one) for host, one in known.items()
    }
    assert places(scene, found) == ["beat is on b", "timer mail is on b"]
    assert troubles(scene, found) == []
    nowhere = {"a": found["a"], "b": found["a"]}
    assert places(scene, nowhere) == []
    assert [one.message for one in troubles(scene, nowhere)] == [
        "beat runs nowhere",
        "timer mail runs nowhere",
    ]
    assert places(replace(scene, fleet=(A,)), found) == []
