"""No secret shows where a deploy goes wrong: faults at points that the seed chooses, traced on both
sides. (What is looked at without a trace, `bench/faults` looks at in every try: output, journal,
logs, records, and what another user of the host can read.)"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from cartwheel_lab.faults.kinds import FAULTS
from cartwheel_lab.faults.points import Point
from tests.kit.faulting import Shore, pairs
from tests.kit.secrecy import STRACE, Trace, found_in, traced
from tests.kit.seed import SEED

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def points(shore: Shore) -> list[Point]:
    return shore.record("redeploy")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_shows_none(shore: Shore, points: list[Point], name: str, tmp_path: Path) -> None:
    dice = random.Random(f"{SEED} {name}")
    point, fault = dice.choice([pair for pair in pairs(points) if pair[1].name == name])
    words = shore.prepare("redeploy")
    # The tracer is not the parent: signals are for fab itself.
    under = (*STRACE, "-v", "-D", "-o", str(tmp_path / "here"))
    with traced(shore.host, tmp_path / "there"):
        one = replace(shore, project=replace(shore.project, under=under)).suffer(
            words, point, fault
        )
    print(one)
    here, there = Trace.of(tmp_path / "here"), Trace.of(tmp_path / "there")
    assert one.struck
    assert [text for text in one.violations if "secrets in the output" in text] == []
    for trace in (here, there):
        assert found_in(trace.arguments(), shore.sentinels) == set()
        assert trace.too_open(shore.sentinels) == []
    assert found_in(here.inherited(), shore.sentinels) == set()
    assert shore.told_secrets() == []


def test_what_is_told_is_found(shore: Shore) -> None:
    kinds = list(shore.sentinels.values())
    shore.sh(f"umask 022; echo {kinds[0]} > /srv/open; logger {kinds[1]}")
    shore.sh(f"umask 077; echo {kinds[2]} > /var/log/closed")
    shore.project.write("state/record", kinds[0])
    try:
        found = shore.told_secrets()
        assert {"file /srv/open", "log /var/log/closed"} <= set(found)
        assert any(one.startswith("journal {") for one in found)
        assert found[-1].endswith("state/record")
    finally:
        shore.sh("rm /srv/open /var/log/closed")
        shore.renew()
