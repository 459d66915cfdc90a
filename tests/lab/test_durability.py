"""P3, where power cuts lose what was not synced (docs/faults.md, Durability).

All disks of all scenarios are tried by `bench/durability`; here every disk of a scenario is
looked at, and a sample, chosen by the seed, is booted.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.kit import durability
from tests.kit.durability import Durability, Scenario
from tests.kit.faulting import Shore
from tests.kit.project import copied_checkout
from tests.kit.seed import SEED
from tests.kit.tiers import tiered

pytestmark = pytest.mark.timeout(600)

SAMPLE = 3


def sampled(count: int) -> list[int]:
    return sorted(random.Random(SEED).sample(range(count), SAMPLE))


@pytest.mark.parametrize(
    "scenario",
    tiered(durability.SCENARIOS, nightly={*durability.SCENARIOS} - {"redeploy"}),
)
def test_recover_serves_from_any_disk_that_a_power_cut_may_leave(
    shore: Shore, scenario: Scenario
) -> None:
    one = Durability(shore, durability.record(shore, scenario))
    print(f"seed {SEED}: {durability.told(one)}")
    wrong = {at: said for at in range(len(one.disks)) if (said := one.forbidden(at))}
    assert not wrong, list(wrong.items())[:3]
    for count, number in enumerate(sampled(len(one.disks))):
        found = one.survive(number, deploy=count == 0)
        assert not found.violations, f"seed {SEED}: {scenario}: {found}"
    one.restore()


# What is planted in a copy of Cartwheel: file, what is there, what stands there instead.
PLANTED = (
    (
        "cartwheel/host/state/pending.py",
        "    files.remove(at.pending)\n",
        "    at.pending.unlink(missing_ok=True)  # durable some day\n",
    ),
    (
        "cartwheel/host/release/prepare.py",
        "    files.sync_filesystem(at.releases)\n",
        "    # durable some day\n",
    ),
    (
        "cartwheel/host/upkeep/runtime.py",
        "        files.sync_filesystem(at.lib / version)\n",
        "        # durable some day\n",
    ),
)


@pytest.mark.nightly
def test_a_missing_fsync_is_found(shore: Shore, tmp_path: Path) -> None:
    """The check can fail: a confirmation that is not durable, a release that says that it is
    whole before it is, and a host side that is gone when it is needed."""
    for _ in range(0 if shore.look().release else 1):
        shore.deploy_new()
    with shore.using(copied_checkout(tmp_path / "checkout", PLANTED)):
        one = Durability(shore, durability.record(shore, "upgrade"))
        said = {at: one.forbidden(at) for at in range(len(one.disks))}
        for words, then in (
            ("pending after the operator was told", f"{one.recording.old} serves instead of"),
            ("/venv is Content", "is taken for whole"),
            ("the host side", "recover: exit"),
        ):
            numbers = [at for at in said if any(words in text for text in said[at])]
            assert numbers, words
            # What is seen on paper happens on the host.
            assert any(
                any(then in text for text in one.survive(at).violations) for at in numbers[:20]
            ), then
        one.restore()
