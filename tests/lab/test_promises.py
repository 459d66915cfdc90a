"""P6, P7, P8, P14: locks, rollback without a network, a plan that writes nothing, round trips."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from cartwheel.commands.deploy import deploy
from cartwheel.commands.scene import Scene, connect, make_scene
from cartwheel.errors import CartwheelError, Exit
from cartwheel.events import silent
from cartwheel.fleet.locking import lock
from cartwheel.ssh.options import SshOptions
from cartwheel_lab import LabHost
from tests.kit.fab import fab
from tests.kit.host import current, journal
from tests.kit.shop import Shop, new_shop
from tests.kit.visitors import loaded
from tests.lab.test_faults import SWITCHED

pytestmark = pytest.mark.timeout(400)

CODE_ROUND_TRIPS = 12
UNCHANGED_ROUND_TRIPS = 6
ROLLBACK_SECONDS = 10.0  # on a busy machine; it is 3 s on an idle one, drain included
ATTEMPTS = 20
CONTENDERS = 4


@pytest.fixture(scope="module")
def served(
    module_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LabHost, Shop]]:
    shop = new_shop(tmp_path_factory.mktemp("shop"))
    shop.project.fab("setup", "-H", module_host.name)
    shop.project.fab("deploy", "-H", module_host.name)
    yield module_host, shop


def scene(host: LabHost, shop: Shop, *, wait_seconds: float = 0.0, who: str = "") -> Scene:
    return make_scene(
        shop.project.folder,
        app=None,
        env=None,
        hosts=(host.name,),
        ssh_options=SshOptions(),
        emit=silent,
        message=who,
        lock_wait_seconds=wait_seconds,
    )


# --- P14


def test_round_trips(served: tuple[LabHost, Shop]) -> None:
    """How often a deploy waits for the host after the SSH handshake."""
    host, shop = served
    shop.code()
    changed = deploy(scene(host, shop)).hosts[0]
    unchanged = deploy(scene(host, shop)).hosts[0]
    print(f"round trips: code only {changed.round_trips}, unchanged {unchanged.round_trips}")
    assert (changed.outcome, unchanged.outcome) == ("deployed", "unchanged")
    assert 0 < changed.round_trips <= CODE_ROUND_TRIPS
    assert 0 < unchanged.round_trips <= UNCHANGED_ROUND_TRIPS


# --- P8

# Everything of the host but kernel file systems, login records, and logs of logins.
_TREE = r"""
find / -xdev \( -path /proc -o -path /run -o -path /sys -o -path /dev -o -path /tmp \
  -o -path /var/log/journal -o -path '/var/log/[wb]tmp' -o -path /var/log/lastlog \) -prune \
  -o -printf '%p %y %m %U:%G %s %T@ %l\n' | sort
find /run -xdev \( -path /run/systemd \
  -o -path /run/log -o -path /run/user -o -path /run/utmp -o -path '/run/udev' \
  -o -path '/run/motd*' \) -prune -o -printf '%p %y %m %U:%G %l\n' | sort
"""


def test_a_plan_writes_nothing(served: tuple[LabHost, Shop]) -> None:
    host, shop = served
    shop.code()
    shop.project.fab("status", "-H", host.name)  # whatever a first login leaves
    host.sh("sleep 1")  # nginx logs a request after its answer
    before = host.sh(_TREE).splitlines()
    done = shop.project.fab("plan", "-H", host.name)
    after = host.sh(_TREE).splitlines()
    assert "switch" in done.text
    tail = host.sh("tail -n 5 /var/log/nginx/shop.access.log; date +%s.%N")
    assert sorted(set(before) ^ set(after)) == [], tail


# --- P7


def test_a_rollback_needs_no_network(served: tuple[LabHost, Shop]) -> None:
    """No index and no proxy answers on the host; it takes seconds, and nobody notices."""
    host, shop = served
    shop.code()
    old = current(host, "shop")
    shop.project.fab("deploy", "-H", host.name)
    host.network(services=False)
    try:
        with loaded(host) as load:
            began = time.monotonic()
            shop.project.fab("rollback", "-H", host.name)
            seconds = time.monotonic() - began
    finally:
        host.network(services=True)
    print(f"rollback: {seconds:.1f} s")
    assert current(host, "shop") == old
    assert seconds < ROLLBACK_SECONDS
    load.assert_nobody_noticed()


# --- P6

# /proc/locks (proc(5)): "1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF"
_KILL_HOLDER = r"""inode=$(stat -c %i /run/cartwheel/.lock.shop)
kill -KILL $(awk -v i=":$inode$" '$2 == "FLOCK" && $6 ~ i {print $5}' /proc/locks)"""


def test_the_second_deploy_is_refused_or_waits(served: tuple[LabHost, Shop]) -> None:
    """Who is refused learns who holds it since when; who waits finds what the first one made."""
    host, shop = served
    shop.code()
    shop.settings(probation_seconds=4)
    before = len(journal(host, "shop"))
    try:
        with fab(shop.project, "deploy", "-H", host.name, "--message", "the first one") as first:
            first.wait_for(SWITCHED)
            refused = shop.project.fab("deploy", "-H", host.name, "--wait", "0", code=Exit.LOCKED)
            assert re.search(
                r"locked by \S+@\S+ since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(the first one\)",
                refused.text,
            )
            with fab(shop.project, "deploy", "-H", host.name, "--wait", "60") as second:
                assert first.end() == Exit.OK
                assert second.end() == Exit.OK
    finally:
        shop.settings()
    assert second.result["hosts"][0]["outcome"] == "unchanged"
    results = [entry["result"] for entry in journal(host, "shop")[before:]]
    assert results == ["confirmed", "unchanged"]


@pytest.mark.nightly
def test_contended_locks(served: tuple[LabHost, Shop]) -> None:
    """Never two owners, and no lock that stays when its owner is killed."""
    host, shop = served
    dice = random.Random(6)
    turns = [(number, dice.random() < 0.3) for number in range(ATTEMPTS)]
    guard, held, refused, problems = threading.Lock(), [], [], []

    def attempt(number: int, killed: bool) -> None:
        here = scene(host, shop, wait_seconds=dice.choice((0.0, 20.0)), who=str(number))
        with suppress(CartwheelError), connect(here, changing=True) as fleet:
            try:
                lock(fleet, host.name, here.terms)
            except CartwheelError as error:
                assert error.slug == "locked"
                refused.append(number)
                return
            # A second owner would find the folder there.
            host.sh(
                f"mkdir /tmp/owner; sleep 0.2; echo {number} > /tmp/owner/who; rm -r /tmp/owner"
            )
            held.append(number)
            if killed:
                owner = json.loads(host.sh("cat /run/cartwheel/.lock.shop"))
                assert owner["message"] == str(number)
                host.sh(_KILL_HOLDER)

    def contend() -> None:
        while True:
            with guard:
                if not turns:
                    return
                turn = turns.pop()
            try:
                attempt(*turn)
            except BaseException as error:
                problems.append(error)

    threads = [threading.Thread(target=contend) for _ in range(CONTENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert sorted(held + refused) == list(range(ATTEMPTS))
    assert len(held) > ATTEMPTS / 4
    shop.project.fab("prune", "-H", host.name, "--wait", "0")  # nothing to remove by hand
