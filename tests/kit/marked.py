"""Processes that a test has started, by a mark in their environment, which children inherit."""

from __future__ import annotations

from pathlib import Path

MARK = "CARTWHEEL_TEST_MARK"


def alive(mark: str) -> dict[int, str]:
    """The command lines of those that live, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            mine = f"{MARK}={mark}".encode() in (folder / "environ").read_bytes()
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if mine and line:  # a zombie has none
            found[int(folder.name)] = line.replace(b"\0", b" ").decode()
    return found
