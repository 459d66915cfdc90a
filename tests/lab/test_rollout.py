"""Three hosts of one inventory: batches, failures that are borne, one migration, one host that
has two names, a deploy that was stopped and goes on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.fab import Fab, fab
from tests.kit.host import await_sessions, current, get, journal
from tests.kit.project import Done, Project, new_project
from tests.kit.waiting import until
from tests.lab.test_fleet import version

pytestmark = pytest.mark.timeout(300)

SETTINGS = "[health]\ndeadline_seconds = 5\n"
LIVE = """
[inventory.groups.rest]
hosts = {rest}
[deploy]
lease_seconds = {lease_seconds}
migrate = "echo $CARTWHEEL_RELEASE >> migrated; test ! -e unmigratable"
"""


class Fleet:
    def __init__(self, hosts: list[LabHost], project: Project) -> None:
        self.hosts, self.project = hosts, project
        self.settings()

    def settings(self, more: str = "", lease_seconds: int = 20) -> None:
        tables = "".join(f"[inventory.hosts.{host.name}]\n" for host in self.hosts)
        rest = str([host.name for host in self.hosts[1:]])
        live = LIVE.format(rest=rest, lease_seconds=lease_seconds)
        self.project.settings(tables + more + live, "config/environments/live.toml")

    def fab(self, *words: str, code: int | None = 0) -> Done:
        return self.project.fab(*words, "--env", "live", code=code)

    def deploy(self, text: str, *words: str, code: int | None = 0) -> Done:
        version(self.project, text)
        return self.fab("deploy", *words, code=code)

    @property
    def texts(self) -> list[str]:
        return [get(host) for host in self.hosts]

    @property
    def releases(self) -> list[str]:
        return [current(host, "shop.live") for host in self.hosts]

    def data(self, number: int, name: str) -> Path:
        return self.hosts[number].path(f"/srv/shop.live/shared/{name}")

    def migrated(self) -> list[int]:
        """How often each host has migrated."""
        return [
            len(path.read_text().splitlines()) if path.exists() else 0
            for path in (self.data(number, "migrated") for number in range(len(self.hosts)))
        ]


@pytest.fixture(scope="module")
def fleet(trio: list[LabHost], tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    project = new_project(tmp_path_factory.mktemp("rollout"), settings=SETTINGS)
    fleet = Fleet(trio, project)
    fleet.fab("setup")
    fleet.deploy("one")
    return fleet


def test_one_host_migrates_for_all(fleet: Fleet) -> None:
    before = fleet.migrated()
    assert sum(before) == 1
    fleet.deploy("two")
    assert fleet.texts == ["two"] * 3
    after = fleet.migrated()
    assert sum(after) == 2
    assert [
        one["result"] for one in journal(fleet.hosts[0], "shop.live") if one["kind"] == "migrate"
    ] == [
        "done",
        "done",
    ]
    fleet.fab("deploy")
    fleet.fab("rollback")
    assert fleet.migrated() == after, "neither an unchanged deploy nor a rollback migrates"


def test_a_migration_that_fails_changes_nothing(fleet: Fleet) -> None:
    before = fleet.releases
    fleet.data(0, "unmigratable").touch()
    try:
        done = fleet.deploy("never", code=Exit.FAILED)
    finally:
        fleet.data(0, "unmigratable").unlink()
    assert "CW608" in done.text
    assert fleet.releases == before


@pytest.mark.nightly
def test_a_host_that_fails_in_the_last_batch_puts_all_back(fleet: Fleet) -> None:
    before = fleet.releases
    fleet.data(2, "sick").touch()
    try:
        done = fleet.deploy("sick", "--batch", "1", code=Exit.REVERTED)
    finally:
        fleet.data(2, "sick").unlink()
    assert fleet.releases == before
    assert done.text.index(f"[{fleet.hosts[1].name}] … switch") > done.text.index(
        f"[{fleet.hosts[0].name}] ✓ switch"
    )


@pytest.mark.nightly
def test_a_host_that_falls_ill_between_two_batches_puts_all_back(fleet: Fleet) -> None:
    """All that have switched watch themselves in the pause."""
    before = fleet.releases
    version(fleet.project, "ill later")
    fleet.settings("[fleet]\npause_seconds = 60\n")
    try:
        with fab(fleet.project, "deploy", "--env", "live") as running:
            running.wait_for(("watch", "start"))
            fleet.data(0, "sick").touch()
            code = running.end()
    finally:
        fleet.data(0, "sick").unlink()
        fleet.settings()
    assert code == Exit.REVERTED
    outcomes = [row["outcome"] for row in running.result["hosts"]]
    assert outcomes == ["reverted", "not-tried", "not-tried"]
    assert fleet.releases == before


@pytest.mark.nightly
def test_a_failure_that_is_borne_leaves_one_behind_and_says_so(fleet: Fleet) -> None:
    before = fleet.releases
    fleet.data(1, "sick").touch()
    try:
        done = fleet.deploy("three", "--max-failures", "1", "--json", code=Exit.ATTENTION)
    finally:
        fleet.data(1, "sick").unlink()
    rows = json.loads(done.out.splitlines()[-1])["hosts"]
    assert [row["outcome"] for row in rows] == ["deployed", "failed", "deployed"]
    assert [row["serves"] for row in rows] == fleet.releases
    assert fleet.releases[1] == before[1]
    assert "Different releases" in fleet.fab("status").text
    # The next deploy finishes it, and does nothing again where it is done.
    done = fleet.fab("deploy", "--json")
    rows = json.loads(done.out.splitlines()[-1])["hosts"]
    assert [row["outcome"] for row in rows] == ["unchanged", "deployed", "unchanged"]
    assert fleet.texts == ["three"] * 3


@pytest.mark.nightly
def test_a_host_that_is_off_falls_out_if_that_is_borne(fleet: Fleet) -> None:
    before = fleet.texts
    fleet.hosts[2].cut()
    try:
        fleet.deploy("four", code=Exit.FAILED)
        assert [get(host) for host in fleet.hosts[:2]] == before[:2]
        done = fleet.fab("deploy", "--keep-going", "--json", code=Exit.ATTENTION)
    finally:
        fleet.hosts[2].restore()
    rows = {row["host"]: row for row in json.loads(done.out.splitlines()[-1])["hosts"]}
    lost = rows[fleet.hosts[2].name]
    assert (lost["outcome"], lost["serves_known"]) == ("failed", False)
    assert lost["error"]["slug"] == "ssh-unreachable"
    fleet.fab("deploy", "--limit", "rest")
    assert fleet.texts == ["four"] * 3


@pytest.mark.nightly
def test_two_names_for_one_host(fleet: Fleet) -> None:
    name = fleet.hosts[0].name
    before = len(journal(fleet.hosts[0], "shop.live"))
    for word in ("deploy", "setup"):
        done = fleet.fab(word, "-H", f"{name},root@{name}", code=Exit.USAGE)
        assert f"root@{name}: this is the same host as {name} [CW109]" in done.text
    assert len(journal(fleet.hosts[0], "shop.live")) == before


@pytest.mark.nightly
def test_a_deploy_that_was_stopped_goes_on(fleet: Fleet) -> None:
    """Killed while the second host installs: what is done is not done again, host by host."""
    before = fleet.texts
    version(fleet.project, "five")
    fleet.settings("[health]\ndeadline_seconds = 60\n")
    fleet.data(1, "slow").touch()
    try:
        with fab(fleet.project, "deploy", "--env", "live") as running:
            until(lambda: {fleet.hosts[0].name, fleet.hosts[2].name} <= whole(running), 60)
            os.kill(running.process.pid, signal.SIGKILL)
    finally:
        fleet.data(1, "slow").unlink()
    for host in fleet.hosts:
        await_sessions(host)
    assert fleet.texts == before
    done = fleet.fab("deploy", "--json")
    assert fleet.texts == ["five"] * 3
    said = [json.loads(line) for line in done.out.splitlines()]
    made = hosts_with(said, "complete")
    assert made == {fleet.hosts[1].name}, "the others had prepared it whole"
    assert hosts_with(said, "upload") == set(), "nothing was uploaded twice"


@pytest.mark.nightly
def test_a_deploy_that_was_stopped_while_it_switched_goes_on(fleet: Fleet) -> None:
    """The canary goes back by itself; it had everything, and so it has it still."""
    before = fleet.texts
    version(fleet.project, "six")
    fleet.settings("[fleet]\npause_seconds = 60\n")
    with fab(fleet.project, "deploy", "--env", "live") as running:
        running.wait_for(("watch", "start"))
        os.kill(running.process.pid, signal.SIGKILL)
    fleet.settings()
    for host in fleet.hosts:
        await_sessions(host)
    assert fleet.texts == before
    said = [json.loads(line) for line in fleet.fab("deploy", "--json").out.splitlines()]
    assert fleet.texts == ["six"] * 3
    assert not (hosts_with(said, "complete") | hosts_with(said, "upload")), "all had it already"


@pytest.mark.nightly
def test_status_brings_forward_who_fell_behind(fleet: Fleet) -> None:
    """It went back because nobody was there to confirm; the others have confirmed meanwhile. It
    has the release still, and gets its site again too."""
    name, before = fleet.hosts[2].name, fleet.texts[2]
    version(fleet.project, "seven")
    fleet.settings("[web]\nclient_max_body_size = '3m'\n")
    with fab(fleet.project, "deploy", "--env", "live", "--limit", name) as running:
        running.wait_for(("traffic", "done"))
        os.kill(running.process.pid, signal.SIGKILL)
    await_sessions(fleet.hosts[2])
    assert "behind" not in fleet.fab("status").text
    fleet.fab("deploy", "--exclude", name)
    assert fleet.texts == ["seven", "seven", before]
    said = fleet.fab("status").text
    release = fleet.releases[0]
    assert f"{name}: behind, because it went back from {release}, which is live on others;" in said
    assert fleet.texts[2] == before, "who only looks changes nothing"
    fleet.fab("lock.hold", "--limit", name, "--message", "the sale")
    assert "the sale" in fleet.fab("status", "--finish", code=Exit.LOCKED).err
    fleet.fab("lock.release", "--limit", name)

    done = fleet.fab("status", "--finish", "--json")
    rows = json.loads(done.out.splitlines()[-1])["hosts"]
    assert [(row["host"], row["outcome"], row["serves"]) for row in rows] == [
        (name, "deployed", release)
    ]
    assert fleet.texts == ["seven"] * 3
    assert journal(fleet.hosts[2], "shop.live")[-1]["kind"] == "deploy"
    assert "behind" not in fleet.fab("status", "--finish").text
    done = fleet.fab("deploy", "--json")
    rows = json.loads(done.out.splitlines()[-1])["hosts"]
    assert [row["outcome"] for row in rows] == ["unchanged"] * 3


@pytest.mark.nightly
def test_a_host_that_stays_out_of_reach_needs_attention_and_status_finishes_it(
    fleet: Fleet, tmp_path: Path
) -> None:
    """Its line is cut right before the confirmation, and restored after the command has ended."""
    name, before = fleet.hosts[1].name, fleet.texts[1]
    there, on = tmp_path / "there", tmp_path / "on"
    wait = f"touch {there}; while test ! -e {on}; do sleep 0.1; done"
    hook = f"[hooks.wait]\nbefore = 'confirm'\ncommand = '{wait}'\n"
    version(fleet.project, "eight")
    fleet.settings(hook, lease_seconds=5)
    try:
        with fab(fleet.project, "deploy", "--env", "live") as running:
            until(there.exists, 60)
            fleet.hosts[1].cut()
            on.touch()
            assert running.end() == Exit.ATTENTION, running.errors
    finally:
        fleet.hosts[1].restore()
    outcomes = {row["host"]: row["outcome"] for row in running.result["hosts"]}
    assert {host for host in outcomes if outcomes[host] == "attention"} == {name}
    await_sessions(fleet.hosts[1])
    assert fleet.texts == ["eight", before, "eight"], "each of them healthy"
    assert f"{name}: behind" in fleet.fab("status").text
    fleet.fab("status", "--finish")
    assert fleet.texts == ["eight"] * 3


def whole(running: Fab) -> set[str]:
    """The hosts on which the release is whole."""
    return hosts_with(running.said, "complete")


def hosts_with(said: list[dict[str, Any]], step: str) -> set[str]:
    """The hosts on which that step changed something."""
    return {one["host"] for one in said if (one.get("step"), one.get("state")) == (step, "changed")}
