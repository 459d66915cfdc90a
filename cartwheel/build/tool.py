"""Runs one tool on the operator's machine: a deadline, signs of life, and no orphans."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from cartwheel.errors import BuildError
from cartwheel.events import Emit, Event

SIGN_OF_LIFE_SECONDS = 5.0  # nothing is silent for more than ten
TERMINATE_SECONDS = 2.0  # what a child gets between SIGTERM and SIGKILL
DRAIN_SECONDS = 1.0  # for output that is still in the pipe when the child has ended
TAIL_LINES = 60

# Set in the thread that runs a tool: the event that ends it (see background.py).
abandoned: ContextVar[threading.Event | None] = ContextVar("abandoned", default=None)

# This process's own children: each leads a group, so a terminal's Ctrl-C does not reach it.
_running: set[subprocess.Popen[str]] = set()

# A user's own tool settings must not change what is built: everything of uv's comes
# from us, and a foreign virtual environment must not be found by accident.
_FOREIGN_PREFIXES = ("UV_", "PIP_")
_FOREIGN = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "SOURCE_DATE_EPOCH")


@dataclass(frozen=True)
class Finished:
    """How a tool ended. `output` is standard output, `log` standard error."""

    returncode: int
    output: str
    log: str

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of both, for a person."""
        both = (self.output.rstrip() + "\n" + self.log.rstrip()).strip()
        return "\n".join(both.splitlines()[-lines:])


def clean_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """The operator's environment without other tools' settings, and with `additions`."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(_FOREIGN_PREFIXES) and key not in _FOREIGN
    }
    return {**kept, **additions}


def run_tool(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    deadline_seconds: float,
    emit: Emit,
    step: str,
) -> Finished:
    """Run `argv` to its end. Whatever interrupts the wait, its whole process group ends.

    Emits `progress` at least every `SIGN_OF_LIFE_SECONDS`. Raises
    BuildError("deadline") when `deadline_seconds` have passed.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    _running.add(process)
    lines: queue.Queue[tuple[str, str]] = queue.Queue()
    readers = [_reader(process.stdout, "out", lines), _reader(process.stderr, "log", lines)]
    kept: dict[str, list[str]] = {"out": [], "log": []}
    try:
        _wait(process, lines, kept, started + deadline_seconds, emit, step)
        late = process.poll() is None
        for reader in readers:
            reader.join(DRAIN_SECONDS)
    finally:
        end_group(process)
        _running.discard(process)
    while not lines.empty():
        name, line = lines.get_nowait()
        kept[name].append(line)
    if late:
        raise BuildError(
            "deadline",
            f"{step}: no end after {deadline_seconds:.0f} s",
            detail=Finished(-1, "".join(kept["out"]), "".join(kept["log"])).tail(),
        )
    return Finished(process.returncode, "".join(kept["out"]), "".join(kept["log"]))


def _reader(stream: object, name: str, lines: queue.Queue[tuple[str, str]]) -> threading.Thread:
    def read() -> None:
        with contextlib.suppress(ValueError, OSError):
            for line in stream:  # type: ignore[attr-defined]
                lines.put((name, line))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _wait(
    process: subprocess.Popen[str],
    lines: queue.Queue[tuple[str, str]],
    kept: dict[str, list[str]],
    deadline: float,
    emit: Emit,
    step: str,
) -> None:
    started = spoke = time.monotonic()
    last = ""
    leave = abandoned.get()
    while process.poll() is None and time.monotonic() < deadline:
        if leave is not None and leave.is_set():
            raise BuildError("build-failed", f"{step}: abandoned")
        try:
            name, line = lines.get(timeout=0.05)
            kept[name].append(line)
            last = line.strip() or last
        except queue.Empty:
            pass
        now = time.monotonic()
        if now - spoke >= SIGN_OF_LIFE_SECONDS:
            spoke = now
            emit(
                Event(
                    step,
                    "progress",
                    f"{now - started:.0f} s: {last}" if last else f"{now - started:.0f} s",
                )
            )


def kill_running() -> None:
    """End every tool that runs now, at once: for a process that cannot wait for anything."""
    for process in list(_running):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def end_group(process: subprocess.Popen[str]) -> None:
    """End what is left of the process's group, and reap the process."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TERMINATE_SECONDS)
            if number == signal.SIGTERM and _group_gone(process.pid):
                break
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()


def _group_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return True
    return False
