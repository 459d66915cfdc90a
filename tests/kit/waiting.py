"""Waiting for what happens elsewhere: in another process, on a host."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


def until(true: Callable[[], Value], seconds: float = 20.0, *, shown: object = "") -> Value:
    """What it returns, once that is true. Fails in time, with `shown` (called, if it can be)."""
    end = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > end:
            what = shown() if callable(shown) else shown
            raise AssertionError(f"it did not come true within {seconds:g} s: {what}")
        time.sleep(0.02)
    return value


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped yet does not (proc(5))."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")
