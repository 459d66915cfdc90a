"""Read a bounded part of the systemd journal: the newest entries of a time."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from cartwheel.host.diagnose.found import Window
from cartwheel.host.system import children
from cartwheel.host.system.context import OpError

_FIELDS = "MESSAGE,_PID,_COMM,_SYSTEMD_UNIT,UNIT,MESSAGE_ID"
# journald cuts a line at 48 KiB; each byte of a text that is not UTF-8 is a number in JSON.
_ENTRY_BYTES = 256 << 10
_ALL_BYTES = 32 << 20


@dataclass(frozen=True)
class Entry:
    """One message. `unit` is the unit that it is about, `at` in seconds since the epoch, `program`
    the name of the program that wrote it, `message_id` the kind of message (journald's catalog)."""

    at: float
    text: str
    pid: str = ""
    unit: str = ""
    program: str = ""
    message_id: str = ""


@dataclass(frozen=True)
class Read:
    """Entries, oldest first. `cut`: there were more before this time, which were not read."""

    entries: Tuple[Entry, ...]
    cut: Optional[float] = None


def read(window: Window, which: Sequence[str], most: int, seconds: float) -> Read:
    """The newest entries of that time, at most `most`, and those that can be read in `seconds`.

    Newest first, because `--lines` with `--since` otherwise means the oldest before systemd 254,
    and because a time limit must not cost the newest. Raises OpError("missing-program")."""
    found: List[Entry] = []
    size = 0

    def collect(line: str) -> None:
        nonlocal size
        size += len(line)
        if size <= _ALL_BYTES:
            entry = parse(line)
            if entry is not None:
                found.append(entry)

    began = time.monotonic()
    argv = ["journalctl", "--no-pager", "--quiet", "--output=json", "--all", "--reverse"]
    bounds = [f"--output-fields={_FIELDS}", f"--lines={most}"]
    bounds += [f"--since=@{window.since:.3f}", f"--until=@{window.until:.3f}"]
    late = False
    try:
        children.ask(
            [*argv, *bounds, *which],
            timeout_seconds=seconds,
            on_line=collect,
            line_bytes=_ENTRY_BYTES,
        )
    except OpError as error:
        if error.slug != "deadline":
            raise
        late = True
    kept = tuple(reversed(found))
    late = late or time.monotonic() - began > seconds
    cut = late or len(kept) >= most or size > _ALL_BYTES
    return Read(kept, (kept[0].at if kept else window.until) if cut else None)


def parse(line: str) -> Optional[Entry]:
    """One entry as journalctl writes it in JSON; None if it is none."""
    try:
        fields: Dict[str, object] = json.loads(line)
        at = int(text_of(fields["__REALTIME_TIMESTAMP"])) / 1e6
    except (ValueError, KeyError, TypeError):
        return None
    get = fields.get
    return Entry(
        at,
        text_of(get("MESSAGE")),
        text_of(get("_PID")),
        text_of(get("UNIT") or get("_SYSTEMD_UNIT")),
        text_of(get("_COMM")),
        text_of(get("MESSAGE_ID")),
    )


def text_of(value: object) -> str:
    """A field's text. journald writes text with other bytes or control characters as a list of
    bytes, and a field with several values as a list of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        if all(isinstance(one, int) for one in value):
            return bytes(one & 255 for one in value).decode("utf-8", "replace")
        return "\n".join(map(text_of, value))
    return ""
