"""A monitor is let in, and put out, while the power or the line goes, and on a full disk.

At every moment a key is there only with all that makes it harmless, and the next try just works.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cartwheel.errors import CartwheelError
from cartwheel_lab import Lab, LabHost
from tests.kit.bases import READY
from tests.kit.faulting import DISK_MB
from tests.kit.host import await_sessions
from tests.kit.look import Monitor
from tests.kit.project import SHOP, new_project
from tests.lab.test_look import HOME, LOOK, assert_nothing_left

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]

TIMES = 8
FAULTS: dict[str, Callable[[LabHost], None]] = {
    "power": lambda host: host.power_cut(),
    "line": lambda host: host.reset_connections(),
}


@pytest.fixture(scope="module")
def host(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHost]:
    host = lab.up(1, disk_mb=DISK_MB, packages=READY)[0]
    host.reset()
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.settings(SHOP)
    project.fab("setup", "-H", host.name)
    yield host


@pytest.fixture
def monitor(tmp_path: Path) -> Monitor:
    return Monitor.new("shop", tmp_path)


@contextmanager
def interrupted(
    host: LabHost, fault: str, change: Callable[[], object], after: float
) -> Iterator[bool]:
    """The fault comes so many seconds after the change has begun. Whether it had ended before."""
    ended = threading.Event()

    def run() -> None:
        with suppress(CartwheelError, OSError):
            change()
        ended.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    is_over = ended.wait(after)
    FAULTS[fault](host)
    if fault == "power":
        host.boot()
    thread.join(60)
    await_sessions(host)  # the host's side may go on for a moment without its line
    yield is_over


def assert_harmless(host: LabHost, monitor: Monitor) -> bool:
    """Whether a key is there; then it lets in, and allows nothing else."""
    keys = host.sh(f"cat {HOME}/.ssh/authorized_keys 2>/dev/null || true")
    has_key = monitor.public.split()[1] in keys
    assert monitor.is_let_in(host) == has_key, keys
    assert monitor.run(host, "id").returncode != 0
    if has_key:
        assert f'restrict,command="/usr/bin/python3 -I {LOOK}/look"' in keys
        assert host.sh("passwd -S cartwheel-look").split()[1] == "L", "no password lets anybody in"
    return has_key


@pytest.mark.parametrize("fault", FAULTS)
def test_at_any_moment(host: LabHost, monitor: Monitor, fault: str) -> None:
    began = time.monotonic()
    monitor.allow(host)
    took = time.monotonic() - began
    monitor.forbid(host)
    seen: set[bool] = set()
    for number in range(TIMES):
        moment = took * (number + 0.5) / TIMES
        with interrupted(host, fault, lambda: monitor.allow(host), moment):
            seen.add(assert_harmless(host, monitor))
        monitor.allow(host)
        assert assert_harmless(host, monitor)
        with interrupted(host, fault, lambda: monitor.forbid(host), moment):
            seen.add(assert_harmless(host, monitor))
        monitor.forbid(host)
        assert_nothing_left(host)
    assert False in seen, "some faults came before the key"


def test_on_a_full_disk(host: LabHost, monitor: Monitor) -> None:
    host.fill_disk()
    try:
        with pytest.raises(CartwheelError) as refused:
            monitor.allow(host)
        assert "disk" in str(refused.value) or "space" in str(refused.value)
        assert not assert_harmless(host, monitor)
    finally:
        host.free_disk()
    monitor.allow(host)
    assert assert_harmless(host, monitor)
    host.fill_disk()
    try:
        with suppress(CartwheelError):
            monitor.forbid(host)
        assert_harmless(host, monitor)
    finally:
        host.free_disk()
    monitor.forbid(host)
    assert_nothing_left(host)
