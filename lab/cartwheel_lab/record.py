"""A lab's record of itself: one file, always replaced as a whole."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from cartwheel import writing
from cartwheel.errors import LabError
from cartwheel_lab.procs import Process

_RETRY_SECONDS = 0.1
_TELL_SECONDS = 5.0

HostState = Literal["new", "off", "on", "going"]


@dataclass
class HostRecord:
    """One host. It is written before each step, so that leftovers of a killed run can be found.

    `interpreter` replaces `ssh.python`; `disk_mb` is the size of a disk in memory (0: the host
    uses this machine's disk). `packages` are in its image besides.
    """

    name: str
    suite: str
    python: bool
    base: str
    preferred: int = 0
    number: int = 0
    ports: dict[str, int] = field(default_factory=dict)
    state: HostState = "new"
    init: tuple[int, int] | None = None
    forwarder: tuple[int, int] | None = None
    interpreter: str = ""
    disk_mb: int = 0
    packages: str = ""

    @property
    def address(self) -> str:
        return f"127.0.1.{self.number}"


@dataclass
class Record:
    """A lab: its hosts, the password of the user `ops`, and its package depot's process."""

    hosts: dict[str, HostRecord] = field(default_factory=dict)
    ops_password: str = ""
    depot: tuple[int, int] | None = None


def as_process(pair: tuple[int, int] | None) -> Process | None:
    return None if pair is None else Process(*pair)


def load(path: Path) -> Record:
    """Read a lab's record; without one the lab is empty. Raises LabError if it is unreadable."""
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        return Record()
    except (OSError, ValueError) as error:
        raise LabError("lab-failed", f"cannot read {path}: {error}") from error
    hosts = {
        name: HostRecord(**{**value, **_pairs(value)}) for name, value in data["hosts"].items()
    }
    return Record(hosts, data["ops_password"], _pair(data["depot"]))


def _pairs(value: dict[str, object]) -> dict[str, tuple[int, int] | None]:
    return {key: _pair(value[key]) for key in ("init", "forwarder")}


def _pair(value: object) -> tuple[int, int] | None:
    return (int(value[0]), int(value[1])) if isinstance(value, list) else None


def save(path: Path, record: Record, *, uid: int, gid: int) -> None:
    """Replace the record, durably, readable by its owner only."""
    path = writing.place_of(path)
    temporary = path.with_suffix(".tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(asdict(record), file, indent=1)
        file.flush()
        os.fchown(fd, uid, gid)
        os.fsync(fd)
    temporary.rename(path)


@contextmanager
def locked(path: Path, waiting: Callable[[float], None]) -> Iterator[None]:
    """Hold the kernel lock on `path`; `waiting(seconds)` is called every five seconds until then.

    The file is never unlinked: unlinking a lock would allow two holders.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    started = told = time.monotonic()
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                now = time.monotonic()
                if now - told >= _TELL_SECONDS:
                    waiting(now - started)
                    told = now
                time.sleep(_RETRY_SECONDS)
        yield
    finally:
        os.close(fd)
