"""Kernel locks: they exclude, they end with their holder, children do not inherit them."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.system import locks
from cartwheel.host.system.context import ContactLost, OpError
from tests.kit.waiting import until
from tests.unit.hostside import Session, in_child

ME = {"owner": "ann@desk", "since": "12:00", "message": "a fix"}


def hold(path: Path, ready: Path) -> int:
    """A process that holds the lock until it is killed; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            locks.acquire(path, ME, wait_seconds=5)
            ready.write_text("")
            time.sleep(60)
        finally:
            os._exit(1)
    until(ready.exists)
    return pid


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_held_lock_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "run" / "shop.lock"
    pid = hold(path, tmp_path / "ready")
    try:
        for wait_seconds in (0, 0.3):
            with pytest.raises(OpError) as caught:
                locks.acquire(path, {"owner": "bob"}, wait_seconds=wait_seconds)
            assert caught.value.slug == "locked"
            assert caught.value.message == "locked by ann@desk since 12:00 (a fix)"
        assert locks.held_by(path) == ME
    finally:
        end(pid)
    assert locks.held_by(path) is None, "it ended with its holder"
    lock = locks.acquire(path, {"owner": "bob"}, wait_seconds=0)
    assert locks.held_by(path) == {"owner": "bob"}
    lock.release()
    lock.release()
    assert locks.held_by(path) is None
    assert path.exists(), "the file is never unlinked"


def test_looking_takes_the_lock_from_nobody(tmp_path: Path) -> None:
    """`fab status` looks at any moment; a deploy that does not wait must not fail of it."""
    path = tmp_path / "shop.lock"
    locks.acquire(path, ME, wait_seconds=0).release()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            locks.held_by(path)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(300):
            locks.acquire(path, ME, wait_seconds=0).release()
    finally:
        stop.set()
        for looker in lookers:
            looker.join()


def test_one_at_a_time_though_some_are_killed(tmp_path: Path) -> None:
    """Workers take the lock and hold a file that may exist once; a parent kills some inside."""
    path, inside = tmp_path / "shop.lock", tmp_path / "inside"

    def worker(seed: int) -> int:
        chance = random.Random(seed)
        for _ in range(6):
            lock = locks.acquire(path, {"owner": str(seed)}, wait_seconds=30)
            inside.unlink(missing_ok=True)  # a killed one left its own
            fd = os.open(inside, os.O_CREAT | os.O_EXCL)
            os.close(fd)
            time.sleep(chance.random() / 200)
            if chance.random() < 0.1:
                os.kill(os.getpid(), signal.SIGKILL)
            inside.unlink()
            lock.release()
        return 0

    pids = []
    for seed in range(8):
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                status = worker(seed)
            finally:
                os._exit(status)
        pids.append(pid)
    ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert set(ended) == {0, -signal.SIGKILL}, "no worker met another one"
    locks.acquire(path, ME, wait_seconds=0).release()


def test_children_do_not_inherit_it(tmp_path: Path) -> None:
    path = tmp_path / "shop.lock"

    def leave_a_child() -> int:
        locks.acquire(path, ME, wait_seconds=1)
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
        (tmp_path / "pid").write_text(str(child.pid))
        return 0

    assert in_child(leave_a_child) == 0
    try:
        assert locks.held_by(path) is None
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_waiting_ends_when_contact_is_lost_and_says_for_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "REPORT_SECONDS", 0.1)
    path, session = tmp_path / "shop.lock", Session()
    held = locks.acquire(path, ME, wait_seconds=0)
    threading.Timer(0.5, session.lost.set).start()
    with pytest.raises(ContactLost):
        locks.acquire(path, {"owner": "bob"}, wait_seconds=30, ctx=session.ctx())
    assert session.events[0]["detail"] == "waiting for ann@desk since 12:00 (a fix)"
    held.release()


def test_no_wait_is_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where uninstalls take the file away again and again."""
    monkeypatch.setattr(locks, "_is_at", lambda _fd, _path: False)
    began = time.monotonic()
    with pytest.raises(OpError) as caught:
        locks.acquire(tmp_path / "shop.lock", ME, wait_seconds=0.5)
    assert caught.value.slug == "locked"
    assert 0.5 <= time.monotonic() - began < 5


def test_a_folder_that_comes_and_goes_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mkdir(2) finds it there, and the look after it does not (seen in the storm)."""
    mkdir, gone = Path.mkdir, [True]

    def there_and_gone(self: Path, **how: Any) -> None:
        if gone:
            gone.pop()
            raise FileExistsError(17, "File exists", str(self))
        mkdir(self, **how)

    monkeypatch.setattr(Path, "mkdir", there_and_gone)
    locks.acquire(tmp_path / "run" / "shop.lock", ME, wait_seconds=0).release()
    assert not gone
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        locks.acquire(tmp_path / "file" / "shop.lock", ME, wait_seconds=0)


def test_a_full_disk_takes_only_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    path = tmp_path / "shop.lock"
    held = locks.acquire(path, ME, wait_seconds=0)
    assert locks.held_by(path) == {"owner": "another process"}
    held.release()


def test_a_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "shop.lock").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError):
        locks.acquire(tmp_path / "shop.lock", ME, wait_seconds=0)
    assert (tmp_path / "theirs").read_text() == "theirs"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"since": 5}', "\0" * 40])
def test_a_damaged_file_hides_only_the_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "shop.lock"
    held = locks.acquire(path, ME, wait_seconds=0)
    path.write_text(content)
    with pytest.raises(OpError, match=r"locked by (another process|somebody)"):
        locks.acquire(path, ME, wait_seconds=0)
    assert locks.held_by(path)
    held.release()


def test_the_holders_text_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "shop.lock"
    locks.acquire(path, {"owner": "a very long name of an owner" * 10}, wait_seconds=0).release()
    lock = locks.acquire(path, {"owner": "bob"}, wait_seconds=0)
    assert json.loads(path.read_text()) == {"owner": "bob"}
    lock.release()


def test_a_process_of_its_own_sees_it(tmp_path: Path) -> None:
    """Not only threads and forks of the same interpreter."""
    path = tmp_path / "shop.lock"
    lock = locks.acquire(path, ME, wait_seconds=0)
    code = (
        "import sys; from pathlib import Path; from cartwheel.host.system import locks;"
        "print(locks.held_by(Path(sys.argv[1]))['owner'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "ann@desk"
    lock.release()
