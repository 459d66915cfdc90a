"""The context of an operation on the host, and the exceptions that it raises."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Callable, Dict, List, Optional

from cartwheel.host.layout import Layout
from cartwheel.host.wire.messages import State, Told
from cartwheel.host.wire.request import About

REPORT_SECONDS = 5.0  # Cartwheel is never silent for more than ten (promise P11)
NEWS_SECONDS = 1.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class OpError(Exception):
    """An operation failed in a way that the user can fix.

    `slug` is a key of `cartwheel.errors.CATALOGUE`; `log` is longer text.
    """

    def __init__(self, slug: str, message: str, hint: str = "", log: str = "") -> None:
        super().__init__(message)
        self.slug = slug
        self.message = message
        self.hint = hint
        self.log = log


def disk_full(error: OSError) -> bool:
    """Whether the file system has no space, no inodes, or no quota left (write(2))."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def no_room(step: str, base: str, log: str = "") -> OpError:
    """The error for a full disk: it names the free space of releases and uploads."""
    free = []
    for path in (base, "/var/tmp"):
        with contextlib.suppress(OSError):
            status = os.statvfs(path)
            size_mb = status.f_bavail * status.f_frsize >> 20
            free.append(f"{path} has {size_mb} MB and {status.f_favail} inodes free")
    return OpError("disk-full", f"no space left for {step} ({', '.join(free)})", log=log)


def scratch_prefix(what: str) -> str:
    """The prefix of this process's temporary names in /tmp or /var/tmp. It holds the process
    number, so that `leftovers` can tell whether the process is still running."""
    return f"cartwheel-{what}-{os.getpid()}-"


class ContactLost(Exception):
    """The operator's side is gone (end of input, or its lease ended)."""


def boottime() -> float:
    """Seconds since boot, suspended time included: the clock of every deadline here."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """A new id after each boot (random(4)); "" if the kernel has none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(eq=False)
class Context:
    """One request, as its operation sees it.

    `about`: the session's application, and who asks. `send` sends an event to the operator and
    never fails. `blob`: the request's payload in a private file. `memory` lives as long as the
    session, so an operation can keep a lock or a pending switch for a later one. The functions of
    `at_end` run, last first, when the session ends in any way that Python survives.
    """

    about: About
    send: Callable[[Told], None]
    lost: threading.Event
    deadline: float
    memory: Dict[str, Any]  # each operation knows what it keeps there, and under which name
    at_end: List[Callable[[], None]]
    blob: Optional[IO[bytes]] = None
    _reported: float = field(default_factory=boottime, init=False)
    _detail: str = field(default="", init=False)

    @classmethod
    def of_program(cls, at: Layout, who: str, seconds: float) -> "Context":
        """For a program that stays on the host: nobody listens, and nobody can go away."""
        return cls(
            about=About(at.app, str(at.base), who, ""),
            send=lambda _event: None,
            lost=threading.Event(),
            deadline=boottime() + seconds,
            memory={},
            at_end=[],
        )

    @property
    def at(self) -> Layout:
        """The paths of the session's application."""
        return Layout(self.about.app, Path(self.about.base))

    def emit(
        self,
        step: str,
        state: State,
        detail: str = "",
        source: str = "",
        at: float = 0.0,
        process: str = "",
    ) -> None:
        """Send the operator an event; `cartwheel.events.Event` explains `state`."""
        told: Told = {"step": step, "state": state, "detail": detail}
        if source:
            told["source"], told["at"] = source, at
        if process:
            told["process"] = process
        self.send(told)

    def progress(self, step: str, detail: str) -> None:
        """Report what the operation waits for, every few seconds, and after a second if it is
        something else: call it in the loop."""
        is_news = detail != self._detail
        if boottime() - self._reported > (NEWS_SECONDS if is_news else REPORT_SECONDS):
            self._reported, self._detail = boottime(), detail
            self.emit(step, "progress", detail)

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
        """Sleep; wake at once when contact is lost."""
        self.lost.wait(min(seconds, max(0.0, self.remaining())))
        self.poll()
