"""A lock's file goes with the last application, and stays a lock for whoever waits for it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cartwheel.host import locks
from cartwheel.host.context import OpError


def opened(path: Path) -> int:
    """How many descriptors of this process are open on the file."""
    links = (link for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return sum(1 for link in links if link.exists() and link.resolve() == path)


def test_who_waits_for_a_lock_that_goes_makes_it_anew(tmp_path: Path) -> None:
    path = tmp_path / "run" / "shop.lock"
    held = locks.acquire(path, {"owner": "uninstall"}, wait_seconds=0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(locks.acquire, path, {"owner": "deploy"}, wait_seconds=20)
        until = time.monotonic() + 10
        while opened(path) < 2:
            assert time.monotonic() < until, "it does not wait"
            time.sleep(0.01)
        locks.discard(path)
        path.parent.rmdir()
        held.release()
        taken = waiting.result(20)
    try:
        assert locks.read_holder(path) == {"owner": "deploy"}
        with pytest.raises(OpError) as refused:
            locks.acquire(path, {"owner": "another"}, wait_seconds=0)
        assert refused.value.slug == "locked"
    finally:
        taken.release()


def test_a_lock_may_be_discarded_twice(tmp_path: Path) -> None:
    path = tmp_path / "shop.lock"
    held = locks.acquire(path, {"owner": "uninstall"}, wait_seconds=0)
    locks.discard(path)
    locks.discard(path)
    held.release()
    assert locks.held_by(path) is None
