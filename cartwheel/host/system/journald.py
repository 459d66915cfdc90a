"""Write lines into the systemd journal (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

from __future__ import annotations

import contextlib
import socket

HOOK = "cartwheel-hook"  # the identifier of hooks' and migrations' output
_SOCKET = "/run/systemd/journal/socket"
_SECONDS = 1.0


def write(identifier: str, line: str) -> None:
    """Add one line; without a journal nothing happens. The entry names this session's unit."""
    text = line.replace("\n", " ")
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.settimeout(_SECONDS)
        fields = f"PRIORITY=6\nSYSLOG_IDENTIFIER={identifier}\nMESSAGE={text}\n"
        journal.sendto(fields.encode("utf-8", "replace"), _SOCKET)
