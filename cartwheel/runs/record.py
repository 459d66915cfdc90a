"""Writes a run's record while it runs: one file of JSON lines for each run.

A running run holds the kernel lock of its file; a file without a result that is not locked
belongs to a run that was killed. Keeping a record is best effort: if the disk fails, the run goes
on, and only `Record.close` waits for the disk, for a short time.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

from cartwheel import __version__
from cartwheel.decoded import Fields
from cartwheel.host.wire.framing import write_all
from cartwheel.runs.lines import as_line

KEEP_RUNS = 200
KEEP_BYTES = 64 << 20  # of all records together
RUN_BYTES = 8 << 20  # of one run's events; its result is always kept
CLOSE_SECONDS = 2.0

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # no two look alike, in ASCII order
_NAME_LENGTH = 9  # enough for a thousand years
_FILE = re.compile(rf"[{_DIGITS}]{{{_NAME_LENGTH}}}\.jsonl")


def run_name(epoch_seconds: float) -> str:
    """A run's name, from the millisecond in which it began; names sort by time."""
    number, name = int(epoch_seconds * 1000), ""
    for _ in range(_NAME_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        name = _DIGITS[digit] + name
    return name


def files_in(folder: Path) -> list[Path]:
    """The records of a folder, oldest first; none if it cannot be read."""
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if _FILE.fullmatch(path.name))
    return []


class Record:
    """One run's record. `write` and `close` raise nothing and may be called by any thread and by
    signal handlers."""

    def __init__(self, folder: Path, about: Fields) -> None:
        self._folder = folder
        self._began = time.time()
        self._room = RUN_BYTES
        self._problem = ""
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        fixed = {"began": self._began, "pid": os.getpid(), "cartwheel": __version__}
        self.write(as_line(type="run", **fixed, **about))
        self._thread = threading.Thread(target=self._keep, name="record", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Write a line of the run; it is dropped if there are too many."""
        self._room -= len(line)
        if self._room >= 0:
            self._lines.put(line)

    def close(self, result: str, seconds: float = CLOSE_SECONDS) -> str:
        """Write the result, the last line; returns why there is no record, if so."""
        self._lines.put(result)
        self._lines.put(None)
        self._thread.join(seconds)
        return "the disk does not answer" if self._thread.is_alive() else self._problem

    def _keep(self) -> None:
        try:
            with _new_file(self._folder, self._began) as file:
                prune(self._folder)
                self._write_lines(file)
        except OSError as error:
            self._problem = error.strerror or str(error)

    def _write_lines(self, file: int) -> None:
        """After a line could not be written, only the result, the last one, is tried."""
        last = ""
        while (line := self._lines.get()) is not None:
            last = line
            if not self._problem:
                try:
                    write_all(file, f"{line}\n".encode())
                except OSError as error:
                    self._problem = error.strerror or str(error)
        if self._problem:
            write_all(file, f"\n{last}\n".encode())
            self._problem = ""


@contextmanager
def _new_file(folder: Path, began: float) -> Iterator[int]:
    """A new file, locked before anything is written to it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    while True:
        try:
            file = os.open(folder / f"{run_name(began)}.jsonl", flags, 0o600)
            break
        except FileExistsError:  # two runs in one millisecond
            began += 0.001
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # some file systems have no locks
        yield file
    finally:
        os.close(file)


def prune(folder: Path, keep_runs: int = KEEP_RUNS, keep_bytes: int = KEEP_BYTES) -> None:
    """Remove the oldest records until at most this many, and this many bytes, are left."""
    kept_runs = kept_bytes = 0
    for path in reversed(files_in(folder)):
        with suppress(OSError):
            kept_bytes += path.stat().st_size
            kept_runs += 1
            if kept_runs > 1 and (kept_runs > keep_runs or kept_bytes > keep_bytes):
                path.unlink()
