"""Looks that the program at the other end of our pipes takes: `fab dashboard`, over its sessions.

Each look is asked for by a line of JSON, `{"number", "host", "cursor"}`, and answered by one:
`{"number", "look"}` or `{"number", "problem"}`, in any order. Late answers are ignored.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from typing import IO, Callable, Dict, Optional

from cartwheel.host.wire.codec import WireError, from_disk
from cartwheel.host.wire.look import HostLook
from cartwheel_monitor.records import Json, Table
from cartwheel_monitor.sessions import LookError
from cartwheel_monitor.watch_list import Host

_OVER = "the dashboard ends"


class Piped:
    """What the watcher needs of hosts (`watcher.Hosts`), by pipes."""

    def __init__(self, asked: IO[str], answers: IO[str]) -> None:
        self._asked, self._pipe = asked, answers
        self._writing = threading.Lock()
        self._news = threading.Condition()
        self._number = 0
        self._waiting: Dict[int, Optional[Table]] = {}
        self._is_over = False

    def start(self, ended: Callable[[], None]) -> None:
        """Read answers from now on; `ended` is called in a thread once no more can come. Looks that
        wait then go on waiting until `close`: the lost pipe is no problem of a host."""
        threading.Thread(target=self._read, args=(ended,), name="answers", daemon=True).start()

    def look(self, host: Host, cursor: str, timeout: float) -> HostLook:
        """The host's answer since the cursor. Raises LookError."""
        with self._news:
            self._number += 1
            number = self._number
            self._waiting[number] = None
        try:
            self._ask({"number": number, "host": host.name, "cursor": cursor})
            return _read(self._answer(number, timeout))
        finally:
            with self._news:
                del self._waiting[number]

    def close(self) -> None:
        """End all waits for hosts."""
        with self._news:
            self._is_over = True
            self._news.notify_all()

    def _ask(self, wish: Table) -> None:
        with self._writing, suppress(OSError, ValueError):  # nobody reads it: the end is near
            self._asked.write(json.dumps(wish) + "\n")
            self._asked.flush()

    def _answer(self, number: int, timeout: float) -> Table:
        until = time.monotonic() + timeout
        with self._news:
            while True:
                found = self._waiting[number]
                if found is not None:
                    return found
                left = until - time.monotonic()
                if self._is_over:
                    raise LookError(_OVER)
                if left <= 0:
                    raise LookError(f"no answer within {timeout:g} s")
                self._news.wait(left)

    def _read(self, ended: Callable[[], None]) -> None:
        with suppress(OSError, ValueError):  # closed, or no UTF-8
            for line in self._pipe:
                self._take(line)
        ended()

    def _take(self, line: str) -> None:
        try:
            found: Json = json.loads(line)
        except ValueError:  # torn: its writer was killed
            return
        number = found.get("number") if isinstance(found, dict) else None
        with self._news:
            if isinstance(found, dict) and isinstance(number, int) and number in self._waiting:
                self._waiting[number] = found
                self._news.notify_all()


def _read(answer: Table) -> HostLook:
    if "look" not in answer:
        raise LookError(str(answer.get("problem")))
    try:
        return from_disk(HostLook, answer["look"])
    except WireError as error:
        raise LookError(f"its answer cannot be read: {error}") from None
