"""A change is planned by what is true once its host is in order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cartwheel.commands.deploy import probe_settled
from cartwheel.commands.rollback import named, plan_switch, rollback_target
from cartwheel.commands.scene import Scene
from cartwheel.errors import CartwheelError, HostError
from cartwheel.events import silent
from cartwheel.host.wire.facts import Facts
from cartwheel.host.wire.request import Request
from cartwheel.plan.host_plan import Operator
from cartwheel.plan.steps import titles
from cartwheel.settings.hosts import Host as InventoryHost
from cartwheel.settings.phases import Kind
from cartwheel.settings.toml_tables import Settings
from cartwheel.ssh.options import SshOptions
from tests.unit import answers
from tests.unit.answers import FACTS, answer_to, fleet_of, release

A = TypeVar("A")
SCENE = Scene(
    project=Path("/none"),
    settings=Settings.model_validate({"app": {"name": "shop", "source": "."}}),
    chosen=(InventoryHost("a", "-H"),),
    known=(),
    ssh_options=SshOptions(),
    operator=Operator("ann@desk"),
    emit=silent,
)


class Host:
    """What it serves changes when its lock is taken: that settles a pending switch."""

    def __init__(self, *, refuses: bool = False, **app: Any) -> None:
        self.asked: list[str] = []
        self.refuses = refuses
        self.host_key = f"key {id(self)}"
        self.app = {"current": "2.new", **app}

    def request(self, asked: Request[A], **_more: Any) -> A:
        self.asked.append(asked.op)
        if asked.op == "probe":
            return answer_to(asked, {**FACTS, "app": {**FACTS["app"], **self.app}})
        if self.refuses:
            raise HostError("locked", "locked by bob")
        self.app |= {"current": "1.old", "pending": False, "locked": True}
        return answer_to(asked, {"premise": "", "freeze": None})

    def close(self, **_more: Any) -> None:
        pass


def look(*hosts: Host) -> dict[str, Facts]:
    sessions = {str(number): host for number, host in enumerate(hosts)}
    with fleet_of(sessions) as fleet:
        return probe_settled(SCENE, fleet)


def test_a_host_in_order_is_looked_at_once() -> None:
    host = Host()
    assert look(host)["0"].app.current == "2.new"
    assert host.asked == ["probe"]


@pytest.mark.parametrize("more", [{"pending": True}, {"locked": True}])
def test_what_an_earlier_session_left_is_settled_before_the_plan(more: dict[str, Any]) -> None:
    host, other = Host(**more), Host()
    found = look(host, other)
    assert found["0"].app.current == "1.old"
    assert host.asked == other.asked == ["probe", "lock", "probe"]


def test_a_freeze_refuses_the_fleet_before_any_lock_and_names_every_host() -> None:
    mark = {"owner": "bob", "since": "today", "message": "the sale"}
    hosts = [Host(freeze=mark, locked=True), Host(), Host(freeze=mark)]
    with pytest.raises(ExceptionGroup) as caught:
        look(*hosts)
    assert [str(one) for one in caught.value.exceptions] == [
        "0: frozen by bob since today (the sale) [CW703]",
        "2: frozen by bob since today (the sale) [CW703]",
    ]
    first = caught.value.exceptions[0]
    assert isinstance(first, CartwheelError)
    assert first.hint.startswith("Ask them first; `fab lock.release -H 0`")
    assert [one.asked for one in hosts] == [["probe"]] * 3


def test_a_freeze_keeps_no_host_from_settling() -> None:
    """The lock settles what a crash left, and only then refuses."""
    mark = {"owner": "bob", "since": "today", "message": "the sale"}
    host = Host(pending=True, freeze=mark, refuses=True)
    with pytest.raises(CartwheelError):
        look(host)
    assert host.asked == ["probe", "lock"]


def test_a_lock_that_stays_is_said() -> None:
    host = Host(locked=True, refuses=True)
    with pytest.raises(CartwheelError) as caught:
        look(host)
    assert caught.value.slug == "locked"


def facts(**more: Any) -> Facts:
    """A host that serves 2.b, and can go back to 1.a."""
    app = {"current": "2.b", "rollback": "1.a", "releases": [release("1.a", version="1")]}
    return answers.facts(lambda known: known["app"].update({**app, **more}))


@pytest.mark.parametrize(
    ("more", "to", "slugs"),
    [
        ({}, None, []),
        ({}, "1.a", []),
        ({}, "1", []),
        ({"current": None, "rollback": None}, None, ["not-deployed"]),
        ({"stopped": {"who": "bob", "message": "", "since": "today"}}, None, ["stopped"]),
        ({"rollback": None}, None, ["no-rollback"]),
        ({}, "9.9", ["no-release"]),
        ({"spoilt": {"1.a": "venv is missing"}}, "1.a", ["not-whole"]),
        ({"spoilt": {"1.a": "venv is missing"}, "rollback": None}, None, ["no-rollback"]),
    ],
)
def test_refusals_of_a_rollback(more: dict[str, Any], to: str | None, slugs: list[str]) -> None:
    known = facts(**more)
    found = plan_switch(SCENE, known, "rollback", rollback_target(known, to))
    assert [refusal.slug for refusal in found.refusals] == slugs
    if not slugs:
        assert found.release == "1.a"
        assert not found.fresh
        assert titles(found) == ["switch"]


def test_a_release_that_was_made_anew_goes_by_the_first_ones_name_too() -> None:
    made = [release(name, version="1", content="1.a") for name in ("1.a", "1.a_2")]
    known = facts(releases=made)
    assert named(known, "1.a") == named(known, "1") == named(known, "1.a_2") == "1.a_2"
    known = facts(releases=made, spoilt={"1.a_2": "venv is missing"})
    assert named(known, "1.a") == "1.a"


def test_what_serves_and_is_not_whole_is_not_restarted() -> None:
    known = facts(spoilt={"2.b": "venv is missing"})
    [refusal] = plan_switch(SCENE, known, "restart", "2.b").refusals
    assert (refusal.slug, refusal.message) == ("not-whole", "2.b is damaged: venv is missing")


def test_a_rollback_is_watched_for_a_moment_only() -> None:
    def watched(kind: Kind) -> float:
        return plan_switch(SCENE, facts(), kind, "1.a").switching.watch_seconds

    assert (watched("restart"), watched("rollback")) == (1, 0.5)


def test_a_rollback_has_time_for_the_last_job_of_the_live_release() -> None:
    """Also of a process that the settings no longer have."""
    beat = {"beat": {"starts": "last", "stop_seconds": 700.0}}
    known = facts(releases=[release("1.a", processes={"beat": {"starts": "last"}}), release("2.b")])
    plain = plan_switch(SCENE, known, "rollback", "1.a").switch_seconds
    known = facts(
        releases=[
            release("1.a", processes={"beat": {"starts": "last"}}),
            release("2.b", processes=beat),
        ]
    )
    found = plan_switch(SCENE, known, "rollback", "1.a").switch_seconds
    assert found == plain + 700 - 60


def test_a_rollback_to_what_serves_is_unchanged() -> None:
    assert plan_switch(SCENE, facts(), "rollback", "2.b").unchanged
    assert not plan_switch(SCENE, facts(), "restart", "2.b").unchanged


def test_keys_of_the_command_line_and_of_the_inventory_are_private(tmp_path: Path) -> None:
    scene = replace(
        SCENE,
        project=tmp_path,
        known=(InventoryHost("a", "inventory", identity="keys/a"), InventoryHost("b", "inventory")),
        ssh_options=SshOptions(identities=(tmp_path / "mine",)),
    )
    assert [one.path for one in scene.private_files] == [tmp_path / "keys" / "a", tmp_path / "mine"]
