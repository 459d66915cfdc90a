"""The shop's worker: a loop that does a little work all the time."""

import logging
import os
import signal
import sys
import threading
import time

from modes import SHARED, mode, take_lock

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
log = logging.getLogger("worker")
ended = threading.Event()
kept = []


def convert(job):
    return job["amount"] / job["rate"]


def step():
    if mode("worker-crash"):
        raise RuntimeError(f"cannot read the queue: {mode('worker-crash')}")
    if mode("worker-exit"):
        sys.exit(3)
    if mode("worker-raise"):
        try:
            convert({"amount": 10, "rate": 0})
        except ZeroDivisionError:
            log.exception("job %d failed", int(time.time()))
    for _ in range(int(mode("worker-leak") or 0)):
        kept.append((SHARED / "modes" / "worker-leak").open())
    if mode("lock") and not kept:
        kept.append(take_lock("report.lock", wait=True))
    if mode("fill"):
        with (SHARED / "debug.log").open("ab") as file:
            file.write(b"DEBUG a line that nobody reads\n" * (int(mode("fill")) << 15))
    if mode("deleted") and not kept:
        kept.append(deleted(int(mode("deleted"))))


def deleted(megabytes):
    """A log that was deleted while it is open: its room is not free."""
    path = SHARED / "worker.log"
    file = path.open("wb")
    for _ in range(megabytes):
        file.write(os.urandom(1 << 20))
    file.flush()
    path.unlink()
    return file


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    log.info("the worker has started")
    while not ended.wait(0.5):
        step()
