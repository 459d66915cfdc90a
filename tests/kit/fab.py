"""A running `fab`: its output is read as it arrives, so that a test can act in the meantime."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.project import Project

Step = tuple[str, str]
"""An event's `step` and `state`."""


class Fab:
    """A running `fab WORDS --json`; its output is read as it arrives."""

    def __init__(self, project: Project, *words: str) -> None:
        self.process = subprocess.Popen(
            project.command(*words, "--json"),
            cwd=project.folder,
            env=project.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said: list[dict[str, Any]] = []
        self.errors = ""
        self._changed = threading.Condition()
        self._readers = [threading.Thread(target=one) for one in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.said.append({**json.loads(line), "heard": time.monotonic()})
                self._changed.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()

    def wait_for(self, step: Step, seconds: float = 60) -> dict[str, Any]:
        """Wait for the event with this step and state. Fails if `fab` ends first, or too late."""
        found: list[dict[str, Any]] = []

        def came() -> bool:
            found[:] = [one for one in self.said if (one.get("step"), one.get("state")) == step]
            return bool(found) or self.process.poll() is not None

        with self._changed:
            end = time.monotonic() + seconds
            while not came() and time.monotonic() < end:
                self._changed.wait(0.2)
        assert found, f"{step} was never reported: {self.said[-5:]} {self.errors}"
        return found[0]

    def end(self, seconds: float = 120) -> int:
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(10)
        return code

    @property
    def result(self) -> dict[str, Any]:
        found = self.last_word
        assert found is not None, f"no result: {self.said[-3:]} {self.errors}"
        return found

    @property
    def last_word(self) -> dict[str, Any] | None:
        """The result, or None if `fab` was killed before it printed one."""
        return next((one for one in self.said if one["type"] == "result"), None)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()


@contextmanager
def fab(project: Project, *words: str) -> Iterator[Fab]:
    running = Fab(project, *words)
    try:
        yield running
    finally:
        running.close()


@dataclass(frozen=True)
class Run:
    """A `fab` that ended: its result, and its cost. Memory is its peak resident size."""

    result: dict[str, Any]
    said: list[dict[str, Any]]
    cpu_seconds: float
    memory_bytes: int


def measured(project: Project, *words: str) -> Run:
    """Run `fab WORDS --json` to its end. Raises AssertionError if it fails."""
    out = project.folder / "out.jsonl"
    environment = {**project.environment(), "PYTHONHASHSEED": "0"}
    with out.open("wb") as sink, Path(f"{out}.errors").open("wb") as errors:
        process = subprocess.Popen(
            [*project.command(*words), "--json"],
            cwd=project.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=errors,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    said = [json.loads(line) for line in out.read_text().splitlines()]
    assert process.returncode == 0, f"{said[-1:]} {Path(errors.name).read_text()}"
    return Run(said[-1], said, used.ru_utime + used.ru_stime, used.ru_maxrss << 10)
