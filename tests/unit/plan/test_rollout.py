"""Batches: nobody twice, nobody left out, in the order of the hosts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartwheel.commands.scene import make_scene
from cartwheel.events import silent
from cartwheel.plan.rollout import Rollout, batches, count, patient
from cartwheel.ssh.options import SshOptions
from tests.unit.fleet.test_deploy import SWITCH, plan

SIZES = st.one_of(st.integers(0, 30), st.integers(0, 100).map(lambda number: f"{number}%"))


@pytest.mark.parametrize(
    ("size", "total", "hosts"),
    [(3, 20, 3), ("3", 20, 3), ("25%", 20, 5), ("1%", 20, 1), ("10%", 25, 3), ("0%", 9, 0)],
)
def test_sizes(size: int | str, total: int, hosts: int) -> None:
    assert count(size, total) == hosts


def test_what_is_no_size() -> None:
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        count("many", 3)


@pytest.mark.parametrize(
    ("hosts", "canary", "batch", "sizes"),
    [
        (1, 1, "100%", [1]),
        (3, 1, "100%", [1, 2]),
        (20, 1, "25%", [1, 5, 5, 5, 4]),
        (20, 0, "25%", [5, 5, 5, 5]),
        (20, "10%", 9, [2, 9, 9]),
        (2, 5, 1, [2]),
        (3, 1, 0, [1, 1, 1]),
        (0, 1, 1, []),
    ],
)
def test_batches(hosts: int, canary: int | str, batch: int | str, sizes: list[int]) -> None:
    names = [f"h{number}" for number in range(hosts)]
    found = batches(names, Rollout(canary, batch))
    assert [len(one) for one in found] == sizes


@given(st.integers(0, 60), SIZES, SIZES)
def test_every_host_is_in_one_batch(hosts: int, canary: int | str, batch: int | str) -> None:
    names = [f"h{number}" for number in range(hosts)]
    found = batches(names, Rollout(canary, batch))
    assert [name for one in found for name in one] == names
    assert all(found)


def test_who_switches_first_waits_for_the_others() -> None:
    rollout = Rollout(pause_seconds=5)
    first = plan(switch=replace(SWITCH, confirm_seconds=60), switch_seconds=100)
    assert patient(first, 0, rollout) == first
    assert patient(first, 2, rollout).switching == replace(SWITCH, confirm_seconds=270)


@pytest.mark.parametrize(
    ("text", "batch"),
    [
        ("", "100%"),
        ('[balancer]\nkind = "nginx"\n', "25%"),
        ('[balancer]\nkind = "nginx"\n[fleet]\nbatch = "100%"\n', "100%"),
    ],
)
def test_behind_a_balancer_batches_are_smaller(tmp_path: Path, text: str, batch: str) -> None:
    (tmp_path / "config").mkdir()
    app = '[app]\nname = "shop"\nsource = "."\n'
    (tmp_path / "config/deploy.toml").write_text(app + text)
    scene = make_scene(
        tmp_path, app=None, env=None, hosts=("a",), ssh_options=SshOptions(), emit=silent
    )
    assert scene.rollout.batch == batch
