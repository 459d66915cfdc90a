"""Wait for something in another process or on a host."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


def until(true: Callable[[], Value], seconds: float = 20.0, *, shown: object = "") -> Value:
    """Wait until the function returns something true, and return that.

    Fails after `seconds`, with `shown` (or its result, if it can be called). What costs much to ask
    is asked less often.
    """
    begun = time.monotonic()
    end = begun + seconds
    while not (value := true()):
        asked = time.monotonic()
        if asked > end:
            what = shown() if callable(shown) else shown
            raise AssertionError(f"this did not become true within {seconds:g} s: {what}")
        time.sleep(min(0.2, max(0.02, 2 * (asked - begun))))
        begun = time.monotonic()
    return value


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie counts as ended (proc(5))."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")
