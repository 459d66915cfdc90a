"""Which hosts are out of a balancer that cannot be asked: a small file on this machine.

It is written before a host is taken out, so that after a crash of this machine the next run from
here returns the hosts that a deploy left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cartwheel import writing
from cartwheel.errors import CartwheelError, UsageError
from cartwheel.host.system import flock
from cartwheel.host.wire.balancer import By


@dataclass(frozen=True)
class Memory:
    path: Path

    @contextmanager
    def held(self, wait_seconds: float) -> Iterator[None]:
        """Lock out other runs from this machine. Raises CartwheelError("locked")."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_suffix(".lock")  # the lock ends with this process; the file stays
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not flock.take(fd, wait_seconds):
                message = "another run from this machine uses this balancer"
                raise CartwheelError("locked", message)
            yield
        finally:
            os.close(fd)

    def read(self) -> dict[str, By]:
        """Server -> who took it out. Raises UsageError("balancer") if the file is damaged."""
        try:
            found: dict[str, By] = json.loads(writing.place_of(self.path).read_text())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UsageError("balancer", f"{self.path}: {error.strerror}") from error
        except ValueError as error:
            raise UsageError("balancer", f"{self.path} is damaged: {error}") from error
        return found

    def note(self, servers: Iterable[str], by: By) -> None:
        """Note that these are out. Servers that a person took out stay marked as such."""
        known, more = self.read(), dict.fromkeys(servers, by)
        self._write({**known, **more} if by == "person" else {**more, **known})

    def forget(self, servers: Iterable[str]) -> None:
        """Note that these are back."""
        gone = set(servers)
        self._write({server: by for server, by in self.read().items() if server not in gone})

    def _write(self, known: dict[str, By]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            writing.write(self.path, json.dumps(known).encode(), mode=0o666)
        except OSError as error:
            raise UsageError("balancer", f"{self.path}: {error.strerror}") from error
