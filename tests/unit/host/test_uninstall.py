"""A lock's file goes with the last application, and stays a lock for whoever waits for it;
nothing goes while somebody needs it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cartwheel.host.state import releases
from cartwheel.host.system import files, locks, systemd
from cartwheel.host.system.context import OpError
from cartwheel.host.upkeep import uninstall
from cartwheel.host.web import configuration, nginx
from cartwheel.host.wire.upkeep import Uninstall
from tests.unit.hostside import Session, host_in, web


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


def test_nothing_goes_that_still_answers_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither code nor data nor user, however long it takes; that it was asked to end is done."""
    at = host_in(tmp_path, monkeypatch)
    at.release("1.a").mkdir()
    releases.point(at, at.current, "1.a")
    files.write_json(at.record, {"user": "nobody-of-ours", "group": "nobody-of-ours"})
    monkeypatch.setattr(systemd, "instances", lambda _at: {web("1.a"): systemd.STOPPING})
    monkeypatch.setattr(configuration, "reload", lambda _ctx, _web: None)
    monkeypatch.setattr(nginx, "SITES", tmp_path)
    monkeypatch.setattr(nginx, "LOGS", tmp_path)
    session = Session(at)
    with pytest.raises(OpError) as refused:
        uninstall.uninstall(session.ctx(0.5), Uninstall(True, now=False))
    assert refused.value.slug == "deadline"
    assert [one["detail"] for one in session.events] == ["web of 1.a is finishing its work"]
    assert at.release("1.a").is_dir()
    assert at.record.exists()
    assert not at.current.is_symlink(), "nobody starts it again"
