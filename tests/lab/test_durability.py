"""P3, where power cuts lose what was not synced (docs/faults.md, Durability).

All disks of all scenarios are tried by `bench/durability`; here every disk of two scenarios is
looked at, and a sample that moves with the date is booted.
"""

from __future__ import annotations

import datetime
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel.lab import Lab, LabHost
from tests.lab import durability
from tests.lab.durability import Durability, Scenario
from tests.lab.faulting import DISK_MB, Shore, new_shore
from tests.lab.project import CHECKOUT, Project

pytestmark = pytest.mark.timeout(600)

SEED = int(datetime.datetime.now(tz=datetime.UTC).strftime("%Y%m%d"))
SAMPLE = 4
LATER: tuple[Scenario, ...] = ("redeploy", "rollback", "upgrade", "recover")


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    """A host with a disk in memory: many disks are laid on it."""
    host = lab.up(1, disk_mb=DISK_MB)[0]
    yield host
    lab.down([host.name])


@pytest.fixture(scope="module")
def shore(host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Shore:
    return new_shore(host, tmp_path_factory.mktemp("shore"))


def sampled(count: int) -> list[int]:
    return sorted(random.Random(SEED).sample(range(count), SAMPLE))


@pytest.mark.parametrize("scenario", ["first", LATER[SEED % len(LATER)]])
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
        "cartwheel/host/pending.py",
        "    files.remove(at.pending)\n",
        "    at.pending.unlink(missing_ok=True)  # durable some day\n",
    ),
    (
        "cartwheel/host/prepare.py",
        "    files.sync_filesystem(at.releases)\n",
        "    # durable some day\n",
    ),
    (
        "cartwheel/host/runtime.py",
        "        files.sync_filesystem(at.lib / version)\n",
        "        # durable some day\n",
    ),
)


def copy_with_bugs(folder: Path) -> Path:
    copy = folder / "checkout"
    unneeded = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "build")
    shutil.copytree(CHECKOUT, copy, ignore=unneeded)
    shutil.copytree(CHECKOUT / "cartwheel" / "build", copy / "cartwheel" / "build")
    for name, right, wrong in PLANTED:
        text = (copy / name).read_text()
        assert text.count(right) == 1
        (copy / name).write_text(text.replace(right, wrong))
    return copy


def test_a_missing_fsync_is_found(shore: Shore, tmp_path: Path) -> None:
    """The check can fail: a confirmation that is not durable, a release that says that it is
    whole before it is, and a host side that is gone when it is needed."""
    theirs = shore.project
    for _ in range(0 if shore.look().release else 1):
        shore.deploy_new()
    shore.project = copied = Project(tmp_path / "project")
    shutil.copytree(theirs.folder, copied.folder)
    text = (copied.folder / "fabfile.py").read_text()
    copied.write(
        "fabfile.py", text.replace(repr(str(CHECKOUT)), repr(str(copy_with_bugs(tmp_path))))
    )
    try:
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
                any(then in text for text in one.survive(at).violations) for at in numbers[:5]
            ), then
        one.restore()
    finally:
        shore.project = theirs
