"""Find processes by a mark in their environment, or by pid and start time, never by name."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "CARTWHEEL_LAB"
"""Environment variable on every process that a lab starts: `LABKEY/ROLE/HOST`."""


@dataclass(frozen=True)
class Process:
    """Identifies a process: `start` is its start time in ticks since boot (proc(5), field 22)."""

    pid: int
    start: int

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        stat = _stat(self.pid)
        return stat is not None and stat[1] == self.start and stat[0] not in "ZX"


def _stat(pid: int) -> tuple[str, int] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may contain anything
    return fields[0], int(fields[19])


def identify(pid: int) -> Process | None:
    """The process that has this pid now."""
    stat = _stat(pid)
    return None if stat is None else Process(pid, stat[1])


def marked(prefix: str) -> dict[Process, str]:
    """Every live process whose mark starts with `prefix`, with its whole mark."""
    found: dict[Process, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            for item in (entry / "environ").read_bytes().split(b"\0"):
                name, _, value = item.partition(b"=")
                if name == MARK.encode() and value.decode(errors="replace").startswith(prefix):
                    process = identify(int(entry.name))
                    if process and process.alive:
                        found[process] = value.decode(errors="replace")
    return found


def children(pid: int) -> list[int]:
    """The pids whose parent is `pid` (needs CONFIG_PROC_CHILDREN, which Debian has)."""
    with suppress(OSError):
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def spawn(argv: Sequence[str], *, mark: str, environment: Mapping[str, str], log: Path) -> Process:
    """Start a process that outlives this one, in a session of its own; output goes to `log`."""
    environment = {**environment, MARK: mark}
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        environment,
        setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGHUP],
        setsigmask=[],
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    process = identify(pid)
    if process is None:  # pragma: no cover - a child stays at least as a zombie
        raise ProcessLookupError(pid)
    return process


# A host ends when all of its processes have ended, which a busy disk may delay.
END_SECONDS = 60.0


def end(processes: Iterable[Process], *, deadline_seconds: float = END_SECONDS) -> list[Process]:
    """Send SIGKILL to all of them and wait until they have ended; returns those that have not."""
    waiting = [p for p in processes if p.alive]
    for process in waiting:
        _kill(process)
    until = time.monotonic() + deadline_seconds
    return [p for p in waiting if not gone(p, until - time.monotonic())]


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(process.pid)
        try:
            # The signal cannot hit another process with the same pid, because the descriptor
            # belongs to the one that existed when it was opened.
            if process.alive:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        finally:
            os.close(fd)


def gone(process: Process, seconds: float) -> bool:
    """Wait until the process has ended, and reap it if it is a child of this one."""
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(process.pid)
        try:
            if process.alive:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                poll.poll(max(0.0, seconds) * 1000)
        finally:
            os.close(fd)
    with suppress(ChildProcessError):
        if not process.alive:
            os.waitpid(process.pid, os.WNOHANG)
    return not process.alive
