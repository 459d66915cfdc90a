"""Many real processes fight for one real lock; some are killed. A program: see `storm`.

    python -m tests.unit.lock_storm FOLDER ATTEMPTS PATIENCE_SECONDS SEED [BREAK]

Prints a `Tally` as JSON. BREAK plants a broken lock, for the test of the test.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import random
import signal
import struct
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from cartwheel.host.system import locks
from cartwheel.host.system.context import OpError

WORKERS = 24
KILL_PAUSE_SECONDS = 0.02
HOLD_SECONDS = 0.0002
REST_SECONDS = 0.004
# Beyond its own deadline an attempt may take this much longer, on a machine that is busy.
LATE_SECONDS = 5.0
SHORT_WAITS_SECONDS = (0.0, 0.05)

IDLE, WAITING, HOLDING = range(3)
COUNTS = (
    "state",  # what the worker is doing: for the statistics of who was killed
    "attempts",
    "taken",
    "refused",  # of those that would not wait for long
    "starved",  # refused though it would wait for long
    "late",  # came back later than asked for
    "two_owners",
    "strangers",  # whoever looked was told another owner while we held it
    "looks",
    "discards",
)


class Shared:
    """Numbers of each worker that the supervisor sees, also of those that were killed."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8 * WORKERS * len(COUNTS))

    def _at(self, slot: int, name: str) -> int:
        return 8 * (slot * len(COUNTS) + COUNTS.index(name))

    def get(self, slot: int, name: str) -> int:
        return int(struct.unpack_from("q", self._memory, self._at(slot, name))[0])

    def set(self, slot: int, name: str, value: int) -> None:
        struct.pack_into("q", self._memory, self._at(slot, name), value)

    def add(self, slot: int, name: str) -> None:
        """Only the slot's own worker writes it."""
        self.set(slot, name, self.get(slot, name) + 1)

    def total(self, name: str) -> int:
        return sum(self.get(slot, name) for slot in range(WORKERS))


class Guard:
    """Proof of its own that nobody else is inside: a POSIX record lock (fcntl(2)), which is
    another mechanism than flock(2), and ends with its process too."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def enter(self) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def leave(self) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN)


def work(folder: Path, slot: int, seed: int, attempts: int, patience: float, all_: Shared) -> None:
    """Take the lock again and again until all workers together have tried often enough."""
    chance, guard = random.Random(seed), Guard(folder / "guard")
    path = folder / "run" / ".lock.shop"
    me = {"owner": f"{slot}.{seed}", "since": "now", "message": ""}
    while all_.total("attempts") < attempts:
        if chance.random() < 0.2:
            all_.add(slot, "looks")
            locks.held_by(path)
        wait_seconds = chance.choice(SHORT_WAITS_SECONDS) if chance.random() < 0.2 else patience
        lock = _take(path, me, wait_seconds, wait_seconds == patience, slot, all_)
        if lock is not None:
            _be_inside(path, me, guard, chance, slot, all_)
            lock.release()
        all_.set(slot, "state", IDLE)
        time.sleep(chance.random() * REST_SECONDS)


def _take(
    path: Path, me: dict[str, Any], wait_seconds: float, is_patient: bool, slot: int, all_: Shared
) -> locks.Lock | None:
    all_.add(slot, "attempts")
    all_.set(slot, "state", WAITING)
    began = time.monotonic()
    try:
        lock = locks.acquire(path, me, wait_seconds=wait_seconds)
    except OpError as error:
        assert error.slug == "locked"
        all_.add(slot, "starved" if is_patient else "refused")
        return None
    finally:
        if time.monotonic() - began > wait_seconds + LATE_SECONDS:
            all_.add(slot, "late")
    all_.set(slot, "state", HOLDING)
    all_.add(slot, "taken")
    return lock


def _be_inside(
    path: Path, me: dict[str, Any], guard: Guard, chance: random.Random, slot: int, all_: Shared
) -> None:
    alone = guard.enter()
    if not alone:
        all_.add(slot, "two_owners")
    if locks.held_by(path) != me:
        all_.add(slot, "strangers")
    time.sleep(chance.random() * HOLD_SECONDS)
    if chance.random() < 0.02:
        os.kill(os.getpid(), signal.SIGKILL)
    if alone:
        guard.leave()
    if chance.random() < 0.05:  # as uninstall does, which ends with that
        all_.add(slot, "discards")
        locks.discard(path)
        with suppress(OSError):  # somebody has made it anew
            path.parent.rmdir()


def storm(folder: Path, attempts: int, patience: float, seed: int) -> dict[str, Any]:
    """Run the workers, kill some, start others in their place; what came of it."""
    all_, chance = Shared(), random.Random(seed)
    killed = {IDLE: 0, WAITING: 0, HOLDING: 0}
    ended_badly = 0
    slots: dict[int, int] = {}
    number = seed * 1_000_000

    def begin(slot: int) -> None:
        nonlocal number
        number += 1
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                work(folder, slot, number, attempts, patience, all_)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        slots[pid] = slot

    try:
        for slot in range(WORKERS):
            begin(slot)
        while slots:
            time.sleep(KILL_PAUSE_SECONDS)
            if chance.random() < 0.5:
                os.kill(chance.choice(list(slots)), signal.SIGKILL)
            for pid in list(slots):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if not ended:
                    continue
                slot = slots.pop(pid)
                code = os.waitstatus_to_exitcode(status)
                if code == -signal.SIGKILL:
                    killed[all_.get(slot, "state")] += 1
                    if all_.total("attempts") < attempts:
                        begin(slot)
                elif code != 0:
                    ended_badly += 1
    finally:
        for pid in slots:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    path = folder / "run" / ".lock.shop"
    stays = locks.held_by(path)
    with suppress(OpError):
        locks.acquire(path, {"owner": "the last one"}, wait_seconds=0).release()
        stays = stays or locks.held_by(path)
    return {
        **{name: all_.total(name) for name in COUNTS if name != "state"},
        "least_taken": min(all_.get(slot, "taken") for slot in range(WORKERS)),
        "killed_waiting": killed[WAITING],
        "killed_holding": killed[HOLDING],
        "ended_badly": ended_badly,
        "stays": stays,
    }


# --- broken locks, to see that the storm notices ------------------------------------------


def _no_exclusion() -> None:
    locks.fcntl.flock = lambda _fd, _how: None  # type: ignore[attr-defined]  # not its to export


def _blind_for_discards() -> None:
    """The mistake that every lock file with an unlink invites."""
    locks._is_at = lambda fd, path: True


class _Leftover(locks.Lock):
    """A lock file that exists while it is held, and after its holder was killed."""

    def __init__(self, path: Path) -> None:
        super().__init__(-1)
        self._path = path

    def release(self) -> None:
        self._path.unlink(missing_ok=True)


def _a_file_that_exists() -> None:
    def acquire(path: Path, holder: Any, *, wait_seconds: float, **_more: Any) -> locks.Lock:
        end = time.monotonic() + wait_seconds
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))
                return _Leftover(path)
            except OSError:
                if time.monotonic() > end:
                    raise OpError("locked", "locked") from None
            time.sleep(0.01)

    locks.acquire = acquire


BREAKS = {
    "no-exclusion": _no_exclusion,
    "blind-for-discards": _blind_for_discards,
    "a-file-that-exists": _a_file_that_exists,
}


def main(folder: str, attempts: str, patience: str, seed: str, broken: str = "") -> None:
    if broken:
        BREAKS[broken]()
    print(json.dumps(storm(Path(folder), int(attempts), float(patience), int(seed))))


if __name__ == "__main__":
    main(*sys.argv[1:])
