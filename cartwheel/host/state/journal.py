"""The append-only history of an application on a host, and what it implies.

One JSON object per line: seq, at (seconds since the epoch, for display only), kind
(deploy, rollback, restart, stop, start, setup), release, version, result (confirmed,
failed, reverted), who, message. The order is `seq`, never a clock. Writing is best
effort; readers skip a torn line. A history of MOST_ENTRIES is cut to its last KEPT_ENTRIES
and the older entries that a rollback needs.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Container, Dict, Iterable, List, Optional, Sequence, Set

from cartwheel.host.layout import content_of
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.codec import from_disk, to_json
from cartwheel.host.wire.journal import Entry, Setback

# About 300 bytes each; a host keeps at most 100 releases (settings: keep_releases).
MOST_ENTRIES = 2000
KEPT_ENTRIES = 1000
_KEPT_STACK = 500


def read(path: Path) -> List[Entry]:
    """Every whole entry, oldest first."""
    try:
        lines = [] if files.is_no_file(path) else path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    entries: List[Entry] = []
    for line in lines:
        # What does not fit was torn by a crash or a full disk.
        with contextlib.suppress(ValueError):
            entries.append(from_disk(Entry, json.loads(line)))
    return entries


def append(path: Path, entry: Entry) -> None:
    """Add one entry; a full disk or a broken file system does not stop a deploy."""
    with contextlib.suppress(OSError, OpError):
        known = read(path)
        last = max((one.seq or 0 for one in known), default=0)
        if len(known) >= MOST_ENTRIES:
            _cut_down(path, known)
        line = _line(replace(entry, seq=last + 1, at=round(time.time(), 3)))
        place = str(files.place_of(path))
        fd = os.open(place, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            os.write(fd, (b"\n" if torn else b"") + line)
            os.fsync(fd)
        finally:
            os.close(fd)


def _line(entry: Entry) -> bytes:
    return json.dumps(to_json(entry)).encode() + b"\n"


def _cut_down(path: Path, entries: List[Entry]) -> None:
    """Cut the history by rename: readers find the whole history or the shorter one. If it fails,
    the next write tries again."""
    with contextlib.suppress(OSError, OpError):
        files.write(path, b"".join(map(_line, shortened(entries, KEPT_ENTRIES))))


def shortened(entries: Sequence[Entry], kept: int) -> List[Entry]:
    """The last `kept` entries, and before them the latest older entry for each release that
    `serving_stack` needs: the stack stays the same."""
    older, recent = entries[:-kept], entries[-kept:]
    stack = set(serving_stack(older)[-_KEPT_STACK:])
    last_word = {
        entry.release: index for index, entry in enumerate(older) if _got_traffic(entry) in stack
    }
    return [older[index] for index in sorted(last_word.values())] + list(recent)


def _got_traffic(entry: Entry) -> Optional[str]:
    """The release that got the traffic by this entry, or None."""
    is_switch = entry.result == "confirmed" and entry.kind in ("deploy", "rollback")
    return entry.release if is_switch else None


def serving_stack(entries: Iterable[Entry]) -> List[str]:
    """The releases that were live, as a stack for rollbacks: the last one is live, a rollback goes
    to the one before it. A release that was rolled back from is not in it."""
    stack: List[str] = []
    for entry in entries:
        release = _got_traffic(entry)
        if release is None:
            continue
        if entry.kind == "rollback" and release in stack:
            del stack[stack.index(release) + 1 :]
            continue
        if release in stack:
            stack.remove(release)
        stack.append(release)
    return stack


def setbacks(entries: Iterable[Entry]) -> Dict[str, Setback]:
    """The releases, by content, that were tried and are not live for a reason: see `Setback`."""
    found: Dict[str, Setback] = {}
    for entry in entries:
        if entry.kind not in ("deploy", "rollback", "restart") or not entry.release:
            continue
        if entry.result in ("confirmed", "unchanged"):
            found.pop(content_of(entry.release), None)
        if entry.result == "confirmed" and entry.kind == "rollback" and entry.from_:
            found[content_of(entry.from_)] = _setback(entry, "rollback", entry.message)
        if entry.kind == "deploy" and entry.result in ("reverted", "failed"):
            found[content_of(entry.release)] = _setback(entry, entry.result, entry.reason)
    return found


def _setback(entry: Entry, how: str, why: Optional[str]) -> Setback:
    return Setback(how, max(0.0, time.time() - (entry.at or 0.0)), entry.who or "?", why or "")


def rollback_target(
    entries: Iterable[Entry], current: Optional[str], complete: Container[str]
) -> Optional[str]:
    """The target of `fab rollback` without `--to`: one good release further back, or None."""
    stack = serving_stack(entries)
    if current in stack:
        del stack[stack.index(current) :]
    for release in reversed(stack):
        if release in complete and release != current:
            return release
    return None


def cut_off(
    entries: Sequence[Entry], current: Optional[str], complete: Container[str]
) -> Optional[str]:
    """The release of the last deploy, if that was interrupted and nothing has found the release
    bad: then it is still there. Otherwise None."""
    moved = [entry for entry in entries if entry.kind in ("deploy", "rollback")]
    last = moved[-1] if moved else Entry()
    ended = last.kind != "deploy" or last.result not in ("reverted", "failed")
    if ended or last.release == current or last.release not in complete:
        return None
    return last.release


def to_prune(order: Sequence[str], protected: Set[str], keep_releases: int) -> List[str]:
    """The complete releases to remove, oldest first. `order` is oldest first.

    Never one of `protected`; the protected ones count as kept.
    """
    keep = protected & set(order)
    for release in reversed(order):
        if len(keep) >= keep_releases:
            break
        keep.add(release)
    return [release for release in order if release not in keep]
