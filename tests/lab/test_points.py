"""Faults at points that are recorded from real commands (docs/faults.md).

All of them are tried by `bench/faults`; here is a sample, chosen by the seed.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel_lab.faults import harness
from cartwheel_lab.faults.kinds import FAULTS
from cartwheel_lab.faults.points import Point
from tests.kit import faulting
from tests.kit.faulting import SCENARIOS, Scenario, Shore, pairs
from tests.kit.host import get
from tests.kit.project import copied_checkout
from tests.kit.seed import SEED

pytestmark = pytest.mark.timeout(600)

# In every run one fault of each kind strikes at one moment: test_faults.py, test_durability.py and,
# with full disks, test_failures_host.py.


@pytest.fixture(scope="module")
def recorded(shore: Shore) -> dict[Scenario, list[Point]]:
    """The points of each scenario."""
    return {scenario: shore.record(scenario) for scenario in SCENARIOS}


EVERY_DEPLOY = (
    "to the host: request lock",
    "to the operator: result confirm",
    "host side: rename /srv/shop/.current.cartwheel-# -> /srv/shop/current",
    "host side: rename /srv/shop/.pending.json.cartwheel-# -> /srv/shop/pending.json",
    "host side: unlink /srv/shop/pending.json",
    "host side: symlink releases/RELEASE -> /srv/shop/.current.cartwheel-#",
    "host side: fsync /srv/shop",
    "host side: create /srv/shop/.pending.json.cartwheel-#",
    "host side runs systemctl start cartwheel-shop.web.RELEASE@1.service",
)
EVERY_PREPARATION = (
    "to the host: blob upload",
    "host side: syncfs /srv/shop/releases",
    "host side runs python pip install",
    "python pip: rename /srv/shop/releases/RELEASE/venv/... -> /srv/shop/releases/RELEASE/venv/...",
)


@pytest.mark.nightly
def test_points_come_from_the_real_command(recorded: dict[Scenario, list[Point]]) -> None:
    """Messages in either direction, and what the host side and its children do to files."""
    labels = {scenario: {point.label for point in found} for scenario, found in recorded.items()}
    for scenario, known in labels.items():
        expected = set(EVERY_DEPLOY) | (set() if scenario == "rollback" else set(EVERY_PREPARATION))
        assert sorted(expected - known) == [], scenario
    assert (
        "host side: rename /srv/shop/.current.cartwheel-# -> /srv/shop/current" in labels["first"]
    )
    assert sum(len(pairs(found)) for found in recorded.values()) > 1000


@pytest.mark.nightly
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_somewhere(
    shore: Shore, recorded: dict[Scenario, list[Point]], name: str
) -> None:
    """At one point: the site answers, before and after a reboot, and the next deploy works."""
    dice = random.Random(f"{SEED} {name}")
    scenario = dice.choice(SCENARIOS)
    point = dice.choice([p for p, f in pairs(recorded[scenario]) if f.name == name])
    one = shore.survive(scenario, point, FAULTS[name])
    if one.violations:
        shore.renew()
    assert not one.violations, f"seed {SEED}: {one}\n{one.said}"


@pytest.fixture
def whole(shore: Shore) -> Iterator[Shore]:
    """With an application that has processes besides web, and timers."""
    shore.whole = True
    shore.deploy_new()
    yield shore
    shore.whole = False


# Where the switch writes what it needs to go back, moves processes and timers, and confirms.
WITH_PROCESSES = (
    "/pending.json",
    "/assigned.json",
    "cartwheel-shop_timer.",
    "systemctl stop",
    "cartwheel-shop.worker.",
    "cartwheel-shop.beat.",
)


@pytest.mark.nightly
def test_a_fault_with_every_process(whole: Shore) -> None:
    """P15, P16: one kill or power cut of a redeploy, at a point that has to do with them."""
    dice = random.Random(f"{SEED} whole")
    name = dice.choice(("host-kill", "power-cut", "fail"))
    found = [
        point
        for point, fault in pairs(whole.record("redeploy"))
        if fault.name == name and any(part in point.label for part in WITH_PROCESSES)
    ]
    one = whole.survive("redeploy", dice.choice(found), FAULTS[name])
    if one.violations:
        whole.renew()
    assert not one.violations, f"seed {SEED}: {one}\n{one.said}"


_BEGIN = "    _begin(ctx, mark)\n"
NEW_STEP = (
    "cartwheel/host/switch/switch.py",
    _BEGIN,
    _BEGIN + '    files.write(at.root / "extra", mark.id.encode())\n',
)
NOTHING_AFTER_A_KILL = ("cartwheel/ssh/startup.py", "if unit.stop_post:", "if not unit.stop_post:")


@pytest.mark.nightly
def test_a_new_step_is_a_point_by_itself(shore: Shore, tmp_path: Path) -> None:
    """Somebody writes a file during the switch: nobody has to tell the harness."""
    new = "host side: rename /srv/shop/.extra.cartwheel-# -> /srv/shop/extra"
    checkout = copied_checkout(tmp_path / "checkout", [NEW_STEP])
    assert new not in {point.label for point in shore.record("redeploy")}
    with shore.using(checkout):
        labels = {point.label for point in shore.record("redeploy")}
    assert {new, "host side: fsync /srv/shop/.extra.cartwheel-#"} <= labels
    shore.sh("rm /srv/shop/extra")


@pytest.mark.nightly
def test_the_judge_sees_a_host_that_does_not_put_itself_in_order(
    shore: Shore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without what runs after a killed session, a switch stays half done: that is found."""
    monkeypatch.setattr(faulting, "SETTLED_SECONDS", 2.0)
    checkout = copied_checkout(tmp_path / "checkout", [NOTHING_AFTER_A_KILL])
    point = Point("message", "to the operator: event switch probation start")
    with shore.using(checkout):
        one = shore.survive("redeploy", point, FAULTS["host-kill"])
    assert one.struck
    assert any("not in order" in found for found in one.violations), one
    shore.renew()


@pytest.mark.nightly
def test_by_hand(shore: Shore) -> None:
    """`fab lab.fault` strikes your own command, and restores the line afterwards."""
    shore.prepare("redeploy")
    before = shore.look()
    words = ("--do", "line-cut", "--at", "result switch", "-H", shore.host.name)
    done = shore.project.fab("lab.fault", *words, timeout=120)
    assert "line-cut at: to the operator: result switch" in done.text
    assert "`fab deploy` ended with exit code" in done.text
    assert shore.look().release == before.release
    assert shore.host.line()["link"] == "up"
    listed = shore.project.fab(
        *("lab.fault", "--run", "rollback", "--points", "-H", shore.host.name)
    )
    assert "to the host: request confirm" in listed.text
    missed = ("--do", "fail", "--call", "99999", "--run", "status", "-H", shore.host.name)
    assert "did not strike" in shore.project.fab("lab.fault", *missed, code=1).text
    harness.install(shore.host)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--do", "flood", "--at", "x"), "there is no fault flood"),
        (("--do", "fail"), "--do takes one of"),
        (("--do", "fail", "--at", "x", "--call", "2"), "--do takes one of"),
        (("--do", "fail", "--message", "2", "--direction", "up"), "--direction up"),
    ],
)
def test_by_hand_with_mistakes(shore: Shore, words: tuple[str, ...], says: str) -> None:
    done = shore.project.fab("lab.fault", *words, "-H", shore.host.name, code=None)
    assert says in done.text
    assert done.code in (1, 2)


def test_a_disk_that_is_full(shore: Shore) -> None:
    """`fab lab.disk` takes all room, all inodes, and gives them back."""
    name = shore.host.name
    for option in ("--full", "--no-inodes"):
        shore.project.fab("lab.disk", option, "-H", name)
        assert shore.host.exec(["sh", "-c", "echo x > /srv/probe"]).returncode
        shore.project.fab("lab.disk", "--restore", "-H", name)
        shore.sh("echo x > /srv/probe; rm /srv/probe")
    assert get(shore.host)


def test_a_disk_fills_up_while_somebody_writes(shore: Shore) -> None:
    """What is used grows between looking and limiting."""
    shore.sh("systemd-run -q --unit=writer sh -c 'while :; do echo more >> /srv/more; done'")
    try:
        for _ in range(30):
            shore.host.fill_disk()
            shore.host.free_disk()
    finally:
        shore.sh("systemctl stop writer; rm /srv/more")


@pytest.mark.nightly
def test_nothing_stays_on_the_host(shore: Shore) -> None:
    """Without a harness sessions are the host's own python3 again."""
    harness.uninstall(shore.host)
    try:
        shore.project.fab("status", "-H", shore.host.name)
        assert shore.sh("ls /opt").split() in ([], ["lab-faults"])
        assert subprocess.run(["test", "-e", shore.host.path(harness.TAP)], check=False).returncode
    finally:
        harness.install(shore.host)
