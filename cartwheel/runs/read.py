"""Reads the records of runs: those that have ended, are running, or were killed."""

from __future__ import annotations

import fcntl
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from cartwheel.decoded import Fields, Table
from cartwheel.errors import UsageError
from cartwheel.runs.record import files_in

LAST = "last"
_LOOKED_AT = 20
_FAR = ("run", "result")  # the types of lines that a list needs


@dataclass(frozen=True)
class Run:
    """One run. `about` has its word (the task), app, environment, project, hosts, who, message,
    pid, began (seconds since the epoch) and cartwheel (its version), as far as the run knew them;
    `result` is the last line of `--json`, None for a run that is running or was killed."""

    name: str
    alive: bool
    about: Fields
    events: tuple[Fields, ...]
    result: Fields | None

    @property
    def state(self) -> Literal["ended", "alive", "killed"]:
        if self.result is not None:
            return "ended"
        return "alive" if self.alive else "killed"


def newest(folder: Path, most: int) -> list[Run]:
    """The newest runs, newest first, without their events."""
    found: list[Run] = []
    for path in reversed(files_in(folder)):
        if len(found) >= most:
            break
        run = _read(path, events=False)
        found += [run] if run is not None else []
    return found


def last_seconds(folder: Path, word: str, app: str, environment: str | None) -> dict[str, float]:
    """How long the last run of the task `word` that changed something took on each host, among the
    newest runs for the application."""
    found: dict[str, float] = {}
    for run in newest(folder, _LOOKED_AT):
        about = (run.about.get("word"), run.about.get("app"), run.about.get("environment"))
        if about != (word, app, environment) or run.result is None:
            continue
        for host in run.result.get("hosts") or []:
            if host.get("outcome") == "deployed" and host.get("seconds"):
                found.setdefault(str(host["host"]), float(host["seconds"]))
    return found


def find(folder: Path, wanted: str) -> Run:
    """The run with that name, or the only one whose name begins with it, or the last one.

    Raises UsageError if there is none, or more than one."""
    paths = files_in(folder)
    fitting = (
        paths[-1:] if wanted == LAST else [one for one in paths if one.stem.startswith(wanted)]
    )
    if len(fitting) > 1:
        names = ", ".join(path.stem for path in fitting[-3:])
        raise UsageError(
            "usage",
            f"{len(fitting)} runs begin with {wanted!r}",
            hint=f"Type more of its name: {names}.",
        )
    run = _read(fitting[0], events=True) if fitting and wanted else None
    if run is None:
        raise UsageError(
            "usage", f"there is no run {wanted!r}", hint="`fab runs.list` shows the runs."
        )
    return run


def _read(path: Path, *, events: bool) -> Run | None:
    """A run; None for a file that cannot be read, or that is still empty."""
    with suppress(OSError), path.open("rb") as file:
        if not file.read(1):
            return None
        # Before reading its lines: a run that ends in between will have its result.
        alive = _is_held(file)
        file.seek(0)
        lines = list(_lines(file, events=events))
        about = {k: v for line in lines if line["type"] == "run" for k, v in line.items()}
        result = next((line for line in lines if line["type"] == "result"), None)
        if about:
            told = tuple(line for line in lines if line["type"] == "event")
            return Run(path.stem, alive and result is None, about, told, result)
    return None


def _is_held(file: BinaryIO) -> bool:
    """Whether the run is alive: the kernel knows by the lock, not by its process number."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _lines(file: BinaryIO, *, events: bool) -> list[Table]:
    """The complete lines."""
    found = []
    for raw in file:
        wanted = events or raw.startswith(tuple(f'{{"type": "{one}"'.encode() for one in _FAR))
        with suppress(ValueError):
            line = json.loads(raw) if wanted else None
            if isinstance(line, dict) and "type" in line:
                found.append(line)
    return found
