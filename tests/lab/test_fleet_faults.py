"""Faults on one host of three, and two operators at once: all hosts agree, or the exit code
and the table say who serves what.

All of it is tried by `bench/faults --fleet 3` and `bench/rivals`; here is a sample.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import rivals
from cartwheel_lab import Lab, LabHost
from cartwheel_lab.faults import harness
from cartwheel_lab.faults.kinds import FAULTS
from cartwheel_lab.faults.points import Point, messages
from tests.kit.bases import READY
from tests.kit.faulting import DISK_MB, Shore, Try, new_shore, pairs
from tests.kit.seed import SEED

pytestmark = pytest.mark.timeout(600)

TRIES = 2
RIVALS = 10


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[list[LabHost]]:
    found = lab.up(3, disk_mb=DISK_MB, packages=READY)
    yield found
    lab.down([host.name for host in found])


@pytest.fixture(scope="module")
def shore(hosts: list[LabHost], tmp_path_factory: pytest.TempPathFactory) -> Shore:
    """Three hosts; the canary is struck with an even seed, the last one with an odd one."""
    others = list(hosts)
    struck = others.pop(0 if SEED % 2 == 0 else -1)
    return new_shore(struck, tmp_path_factory.mktemp("shore"), others)


@pytest.mark.nightly
def test_any_fault_on_one_host_of_three(shore: Shore) -> None:
    dice = random.Random(SEED)
    points = shore.record("redeploy")
    found = [(point, fault) for point, fault in pairs(points) if point in messages(points)]
    assert len(found) > 200
    broken = []
    for point, fault in dice.sample(found, TRIES):
        one = shore.survive("redeploy", point, fault)
        print(one)
        if one.violations:
            broken.append(f"{one}\n{one.said}")
            shore.renew()
    assert not broken, f"seed {SEED}: " + "\n".join(broken)


@pytest.mark.nightly
def test_a_host_lost_in_the_confirmation_round_is_brought_forward(shore: Shore) -> None:
    """The others have confirmed; it goes back by itself, and then gets the release once more."""
    point = Point("message", "to the host: request confirm")
    one = shore.survive("redeploy", point, FAULTS["line-reset"])
    assert one.struck
    assert not one.violations, f"{one}\n{one.said}"
    assert one.code == 0, one.said


@pytest.mark.nightly
def test_a_host_that_cannot_confirm_is_brought_forward(shore: Shore) -> None:
    """Its disk fails for a moment: it goes back before the report, and then gets it once more."""
    point = Point("fsync", "host side: fsync /srv/shop", 4)  # of the confirmation
    one = shore.survive("redeploy", point, FAULTS["fail"])
    assert one.struck
    assert not one.violations, f"{one}\n{one.said}"
    assert one.code == 0, one.said


@pytest.mark.nightly
def test_the_judge_sees_hosts_that_differ_and_a_report_that_hides_it(shore: Shore) -> None:
    """Nobody strikes: one host is taken to another release behind the report's back."""
    shore.prepare("redeploy")
    states = shore.look_at_all()
    name, state = next(iter(states.items()))
    one = Try("redeploy", Point("message", "x"), FAULTS["fail"].name, code=0)
    shore._judge_agreement(one, {"hosts": []}, {**states, name: replace(state, release="other")})
    assert any("hosts differ" in text for text in one.violations)


@pytest.mark.nightly
def test_two_operators_at_once(hosts: list[LabHost], shore: Shore, tmp_path: Path) -> None:
    harness.uninstall(shore.host)
    for host in hosts:
        host.reset()
    assert rivals.try_all(hosts, tmp_path, RIVALS, SEED) == 0
