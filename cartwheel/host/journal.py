"""The append-only history of an application on a host, and what follows from it.

One JSON object a line: seq, at (seconds since the epoch, for people only), kind
(deploy, rollback, restart, stop, start, setup), release, version, result (confirmed,
failed, reverted), who, message. The order is `seq`, never a clock. Writing is best
effort; readers skip a torn line.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Set

Entry = Dict[str, Any]


def read(path: Path) -> List[Entry]:
    """Every whole entry, oldest first."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    entries: List[Entry] = []
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue  # torn by a crash or a full disk
        if isinstance(value, dict):
            entries.append(value)
    return entries


def append(path: Path, entry: Entry) -> None:
    """Add one entry; a full disk or a broken file system does not stop a deploy."""
    try:
        known = read(path)
        last = max((_sequence(item) for item in known), default=0)
        line = json.dumps({"seq": last + 1, "at": round(time.time(), 3), **entry}).encode()
        fd = os.open(str(path), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            os.write(fd, (b"\n" if torn else b"") + line + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError:
        pass


def _sequence(entry: Entry) -> int:
    seq = entry.get("seq")
    return seq if isinstance(seq, int) else 0


def serving_stack(entries: Iterable[Entry]) -> List[str]:
    """The releases that served, as a way back: the last one serves, the one before it is
    where a rollback goes. A release that was rolled away from is not in it."""
    stack: List[str] = []
    for entry in entries:
        release = entry.get("release")
        if entry.get("result") != "confirmed" or not isinstance(release, str):
            continue
        if entry.get("kind") == "rollback" and release in stack:
            del stack[stack.index(release) + 1 :]
        elif entry.get("kind") in ("deploy", "rollback"):
            if release in stack:
                stack.remove(release)
            stack.append(release)
    return stack


def rollback_target(
    entries: Iterable[Entry], current: Optional[str], complete: Sequence[str]
) -> Optional[str]:
    """Where `fab rollback` without `--to` goes: one good release further back, or None."""
    stack = serving_stack(entries)
    if current in stack:
        del stack[stack.index(current) :]
    for release in reversed(stack):
        if release in complete and release != current:
            return release
    return None


def to_prune(order: Sequence[str], protected: Set[str], keep_releases: int) -> List[str]:
    """Which complete releases go, oldest first. `order` is oldest first.

    Never one of `protected`; what is kept counts the protected ones too.
    """
    keep = protected & set(order)
    for release in reversed(order):
        if len(keep) >= keep_releases:
            break
        keep.add(release)
    return [release for release in order if release not in keep]
