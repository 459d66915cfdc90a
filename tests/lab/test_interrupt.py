"""Ctrl-C at every phase: the first one stops in order and says so, the second one leaves at
once; nothing is orphaned, here or on the host, and the host is in order afterwards."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.fab import Fab, fab
from tests.kit.host import await_sessions, current, main_pids
from tests.kit.shop import Shop, new_shop
from tests.kit.tiers import tiered
from tests.kit.waiting import until

pytestmark = pytest.mark.timeout(300)

AT_ONCE_SECONDS = 1.0
SOON_SECONDS = 4.0  # tools that run here get two seconds between SIGTERM and SIGKILL
IN_ORDER_SECONDS = 20.0
MARK = "CARTWHEEL_TEST_MARK"

BUILDING, CONNECTING = ("test", "start"), ("connect", "start")
INSTALLING, STARTING = ("install", "start"), ("start", "start")
SWITCHED, DRAINING = ("traffic", "done"), ("drain and prune", "start")

# What of a session could stay on a host.
_REMOTE = """
systemctl list-units --all --plain --no-legend 'cartwheel-session-*'
pgrep -af '[p]ython3 -I|[p]ip install|[s]ystemd-run|[c]ompileall' || true
"""
_SLOW_TESTS = '\n[tests]\ncommand = "sleep 300 & sleep 300; true"\n'


@dataclass
class Place:
    host: LabHost
    shop: Shop
    mark: str

    def local(self) -> list[str]:
        """Processes that this `fab`, or a child of it, has started and that live."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                mine = f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes()
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if mine and line:  # a zombie has none
                found.append(line.replace(b"\0", b" ").decode())
        return found

    def assert_nothing_is_orphaned(self, remote_seconds: float) -> None:
        until(lambda: not self.local(), 2, shown=self.local)
        until(
            lambda: not self.host.sh(_REMOTE).strip(),
            remote_seconds,
            shown=lambda: self.host.sh(_REMOTE),
        )

    def assert_serves(self, release: str) -> None:
        """It alone runs; nothing is left except files with which the next deploy continues."""
        assert current(self.host, "shop") == release
        assert [unit for unit in main_pids(self.host, "shop") if release not in unit] == []
        assert not self.host.path("/srv/shop/pending.json").exists()


@pytest.fixture(scope="module")
def served(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Place:
    shop = new_shop(tmp_path_factory.mktemp("shop"))
    shop.project.fab("setup", "-H", module_host.name)
    shop.project.fab("deploy", "-H", module_host.name)
    return Place(module_host, shop, "")


@pytest.fixture
def place(served: Place) -> Iterator[Place]:
    """New code to deploy, by a `fab` whose processes can be told."""
    mark = uuid.uuid4().hex
    shop = replace(served.shop, project=replace(served.shop.project, env={MARK: mark}))
    shop.marks = int(mark[:8], 16)
    shop.code()
    shop.settings(probation_seconds=2, drain_seconds=2)
    place = Place(served.host, shop, mark)
    yield place
    served.host.restore()
    await_sessions(served.host)
    for line in place.local():
        pytest.fail(f"{line} was left")


def deploying(place: Place) -> tuple[str, ...]:
    return ("deploy", "-H", place.host.name)


def said(running: Fab) -> str:
    return json.dumps(running.said) + running.errors


@pytest.mark.parametrize(
    "number", tiered([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], nightly={"SIGTERM", "SIGHUP"})
)
def test_before_a_host_is_touched_it_ends_soon(place: Place, number: signal.Signals) -> None:
    """While the app's own tests run: they end too, with what they started."""
    serves = current(place.host, "shop")
    path = place.shop.project.folder / "config" / "deploy.toml"
    path.write_text(path.read_text().replace("[tests]\nskip = true\n", _SLOW_TESTS))
    with fab(place.shop.project, *deploying(place)) as running:
        running.wait_for(BUILDING)
        running.wait_for(("connect", "done"))
        until(lambda: any("sleep 300" in one for one in place.local()), 20, shown=place.local)
        os.kill(running.process.pid, number)
        began = time.monotonic()
        assert running.end() == Exit.INTERRUPTED
        assert time.monotonic() - began < SOON_SECONDS
    assert "stopped; no host was changed" in said(running)
    place.assert_nothing_is_orphaned(5)
    place.assert_serves(serves)


def test_while_connecting_it_ends_at_once(place: Place) -> None:
    place.host.black_hole()
    with fab(place.shop.project, "restart", "-H", place.host.name) as running:
        running.wait_for(CONNECTING)
        os.kill(running.process.pid, signal.SIGINT)
        began = time.monotonic()
        assert running.end() == Exit.INTERRUPTED
        assert time.monotonic() - began < AT_ONCE_SECONDS
    assert "stopped; no host was changed" in said(running)
    assert "Traceback" not in running.errors
    place.host.restore()
    place.assert_nothing_is_orphaned(20)


@pytest.mark.parametrize(
    "step",
    tiered([INSTALLING, STARTING, SWITCHED, DRAINING], nightly={INSTALLING, STARTING, DRAINING}),
    ids=lambda step: str(step[0]),
)
def test_the_first_one_stops_in_order_and_says_so(place: Place, step: tuple[str, str]) -> None:
    serves = current(place.host, "shop")
    name = place.host.name
    with fab(place.shop.project, *deploying(place)) as running:
        running.wait_for(step)
        os.kill(running.process.pid, signal.SIGINT)
        began = time.monotonic()
        note = running.wait_for(("interrupted", "note"), 5)
        assert note["heard"] - began < AT_ONCE_SECONDS
        assert note["detail"] == (f"stopping: {name} recovers (a second Ctrl-C stops waiting)")
        assert running.end() == Exit.INTERRUPTED
        assert time.monotonic() - began < IN_ORDER_SECONDS
    # What was confirmed goes forward; it may have been confirmed just before.
    now = current(place.host, "shop") if step == DRAINING else serves
    assert running.result["hosts"][0]["answer"]["current"] == now
    assert now in running.errors, "it says what serves"
    assert "Traceback" not in running.errors
    place.assert_nothing_is_orphaned(5)
    place.assert_serves(now)


@pytest.mark.parametrize(
    "step",
    tiered([BUILDING, INSTALLING, SWITCHED, DRAINING], nightly={BUILDING, INSTALLING, DRAINING}),
    ids=lambda step: str(step[0]),
)
def test_the_second_one_leaves_at_once_and_the_host_needs_nobody(
    place: Place, step: tuple[str, str]
) -> None:
    """A third and a fourth one change nothing of that."""
    serves = current(place.host, "shop")
    name = place.host.name
    if step == BUILDING:
        path = place.shop.project.folder / "config" / "deploy.toml"
        # It does not listen to SIGTERM: the first Ctrl-C gives it two seconds.
        command = '\n[tests]\ncommand = "trap : TERM; sleep 300 & while :; do sleep 1; done"\n'
        path.write_text(path.read_text().replace("[tests]\nskip = true\n", command))
    with fab(place.shop.project, *deploying(place)) as running:
        running.wait_for(step)
        if step == BUILDING:
            until(lambda: any("sleep 300" in one for one in place.local()), 20, shown=place.local)
        os.kill(running.process.pid, signal.SIGINT)
        running.wait_for(("interrupted", "note"), 5)
        began = time.monotonic()
        while running.process.poll() is None:
            os.kill(running.process.pid, signal.SIGINT)
            assert time.monotonic() - began < AT_ONCE_SECONDS
            time.sleep(0.01)
        assert running.end() == Exit.INTERRUPTED
    if step == BUILDING:
        assert "left" in running.errors
    else:
        assert f"left; {name} recovers alone: `fab status -H {name}`" in (running.errors)
    assert "Traceback" not in running.errors
    place.assert_nothing_is_orphaned(IN_ORDER_SECONDS)
    place.assert_serves(current(place.host, "shop") if step == DRAINING else serves)
    told = place.shop.project.fab("status", "-H", name, "--json")
    answer = json.loads(told.out.splitlines()[-1])["hosts"][0]["answer"]
    assert (answer["healthy"], answer["pending"], answer["lock"]) == (True, None, None)


@pytest.mark.nightly
def test_while_waiting_for_somebody_elses_lock(place: Place) -> None:
    """Nothing of ours has begun: the one who has the lock goes on."""
    with fab(place.shop.project, *deploying(place)) as first:
        first.wait_for(STARTING)
        with fab(place.shop.project, "restart", "-H", place.host.name, "--wait", "60") as second:
            second.wait_for(("lock", "progress"))
            os.kill(second.process.pid, signal.SIGINT)
            began = time.monotonic()
            assert second.end() == Exit.INTERRUPTED
            assert time.monotonic() - began < SOON_SECONDS
        assert "stopped; no host was changed" in said(second)
        assert first.end() == Exit.OK
    place.assert_nothing_is_orphaned(5)
