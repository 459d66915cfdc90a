"""What an operation on the host is given, and how it fails."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, List, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.wire.request import About


class OpError(Exception):
    """An operation failed in a way the user can do something about.

    `slug` is a key of `cartwheel.errors.CATALOGUE`; `log` is longer text.
    """

    def __init__(self, slug: str, message: str, hint: str = "", log: str = "") -> None:
        super().__init__(message)
        self.slug = slug
        self.message = message
        self.hint = hint
        self.log = log


# What a full file system answers: neither space nor inodes, or no quota (write(2)).
_FULL = (errno.ENOSPC, errno.EDQUOT)


def disk_full(error: OSError) -> bool:
    return error.errno in _FULL


def no_room(step: str, base: str, log: str = "") -> OpError:
    """The error for a full disk: what is free now where releases and uploads are kept."""
    free = []
    for path in (base, "/var/tmp"):
        try:
            status = os.statvfs(path)
        except OSError:
            continue
        free.append(
            "{} has {} MB and {} inodes free".format(
                path, status.f_bavail * status.f_frsize >> 20, status.f_favail
            )
        )
    return OpError("disk-full", "no space left for {} ({})".format(step, ", ".join(free)), log=log)


def scratch_prefix(what: str) -> str:
    """For a name in /tmp or /var/tmp of what lives no longer than this process: whoever finds
    it knows whether that still runs (see `leftovers`)."""
    return "cartwheel-{}-{}-".format(what, os.getpid())


class ContactLost(Exception):
    """The operator's side is gone (end of input, or its lease ended)."""


def boottime() -> float:
    """Seconds since boot, suspended time included: the clock of every deadline here."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Context:
    """One request as its operation sees it.

    `about` says which application the session is about, and who asks. `send` writes an event to the operator and never fails. `blob` is the request's
    payload, spooled to a private file, and `blob_sha256` its digest. `memory` lives as long as the session, so an
    operation can hold a lock or a pending switch for a later one. `at_end` functions
    run, last first, when the session ends in any way that Python survives.
    """

    def __init__(
        self,
        *,
        about: About,
        send: Callable[[Dict[str, Any]], None],
        lost: threading.Event,
        deadline: float,
        memory: Dict[str, Any],
        at_end: List[Callable[[], None]],
        blob: Optional[BinaryIO] = None,
        blob_sha256: str = "",
    ) -> None:
        self.about = about
        self._send = send
        self.lost = lost
        self.deadline = deadline
        self.memory = memory
        self.at_end = at_end
        self.blob = blob
        self.blob_sha256 = blob_sha256

    @property
    def at(self) -> Layout:
        """Where everything of the session's application is."""
        return Layout(self.about.app, Path(self.about.base))

    def emit(self, step: str, state: str, detail: str = "", **fields: Any) -> None:
        """Tell the operator; see `cartwheel.events.Event` for the meaning of `state`."""
        self._send({"step": step, "state": state, "detail": detail, **fields})

    def remaining(self) -> float:
        """Seconds until this request's deadline."""
        return self.deadline - boottime()

    def poll(self) -> None:
        """Call in every loop: raises ContactLost, or OpError("deadline", ...)."""
        if self.lost.is_set():
            raise ContactLost()
        if self.remaining() <= 0:
            raise OpError("deadline", "the deadline of this operation has passed")

    def pause(self, seconds: float) -> None:
        """Sleep, but wake at once when contact is lost."""
        self.lost.wait(min(seconds, max(0.0, self.remaining())))
        self.poll()
