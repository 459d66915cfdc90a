"""Results that are kept between builds, by the content of their inputs; written completely or not.

Two deploys on one machine share them: writers hold a kernel lock, and rename what they finished.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cartwheel import writing
from cartwheel.errors import BuildError
from cartwheel.events import Emit, Event
from cartwheel.host.system import flock
from cartwheel.programs import SIGN_OF_LIFE_SECONDS

LOCK_WAIT_SECONDS = 900.0
ABANDONED_SECONDS = 86_400.0


def key_of(*parts: object) -> str:
    """One name for these inputs: the SHA-256 of their canonical JSON, shortened."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or all of the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writing.write(path, text.encode())


@contextmanager
def scratch(state: Path) -> Iterator[Path]:
    """A temporary private folder in `state`, so that renames stay on one file system."""
    base = state / "tmp"
    base.mkdir(parents=True, exist_ok=True)
    _forget_abandoned(base)
    folder = Path(tempfile.mkdtemp(dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _forget_abandoned(base: Path) -> None:
    # A build that was killed leaves its folder behind; no build takes this long.
    for left in base.iterdir():
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def adopt(folder: Path, place: Path) -> None:
    """Move `folder` to `place` by one rename; if another process was first, its folder stays."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        folder.rename(place)
    if not place.is_dir():
        raise BuildError("build-failed", f"{place} cannot be written")


@contextmanager
def exclusive(state: Path, name: str, emit: Emit) -> Iterator[None]:
    """Hold the kernel lock `name` in `state`; it ends with the process, so it is never stale.

    Raises BuildError("deadline") after `LOCK_WAIT_SECONDS`.
    """
    folder = state / "locks.d"
    folder.mkdir(parents=True, exist_ok=True)
    spoke = 0.0

    def waiting(waited: float) -> None:
        nonlocal spoke
        if waited - spoke >= SIGN_OF_LIFE_SECONDS:
            spoke = waited
            emit(Event(name, "progress", f"waiting for another Cartwheel, {waited:.0f} s"))

    with (folder / name).open("a") as file:
        if not flock.take(file.fileno(), LOCK_WAIT_SECONDS, waiting):
            message = f"another Cartwheel has locked {folder / name} for too long"
            raise BuildError("deadline", message)
        yield
