"""How this shop misbehaves: each file in `shared/modes` switches one thing on; its text says how."""

import fcntl
import os
import time
from pathlib import Path

SHARED = Path(os.environ.get("CARTWHEEL_SHARED", "."))


def mode(name):
    """The text of the file, or "" while the shop behaves well."""
    try:
        return (SHARED / "modes" / name).read_text().strip()
    except OSError:
        return ""


def take_lock(name, *, wait):
    """An open file with a lock on it; without `wait` None if somebody else has it."""
    file = (SHARED / name).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        return None
    return file


def pause(seconds):
    time.sleep(float(seconds))
