"""The marks of a release that is being made: which step was done, with what.

Each step leaves a digest of what went in in `steps.json`. A step whose mark fits has
nothing to do; one that was interrupted starts from scratch. Marks are for this boot only:
until the release is complete nothing makes sure that what they speak of is on the disk, and
a power cut may keep the marks and lose that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from cartwheel.host.layout import Layout
from cartwheel.host.state import releases
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError

_TAIL_LINES = 30
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # random(4): another one after each boot
_BOOT = "boot"


def opened(at: Layout, release: str) -> Path:
    """The folder of the release to work on: it is there afterwards, and marked as ours."""
    folder = at.release(release)
    files.directory(folder, 0o755)
    if not _path(at, release).exists():
        forget(at, release)
    return folder


def _path(at: Layout, release: str) -> Path:
    return at.release(release) / "steps.json"


def done(at: Layout, release: str) -> Dict[str, Any]:
    """The marks that were made since this boot."""
    try:
        marks = files.read_json(_path(at, release)) or {}
    except OpError:
        return {}
    return marks if marks.get(_BOOT) == _boot_id() else {}


def _boot_id() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()


def marked(at: Layout, release: str, step: str, digest: str) -> bool:
    """Whether the step has been done with just this; all of a complete release is."""
    if releases.manifest_path(at, release).exists():
        return True
    return bool(done(at, release).get(step) == digest)


def mark(at: Layout, release: str, step: str, digest: str) -> None:
    marks = {**done(at, release), _BOOT: _boot_id(), step: digest}
    files.write_json(_path(at, release), marks)


def forget(at: Layout, release: str) -> None:
    """No step is done; that we are making it stays known."""
    files.write_json(_path(at, release), {})


def tail(output: str) -> str:
    """The end of a program's output, as much as a person wants to see of it."""
    return "\n".join(output.splitlines()[-_TAIL_LINES:])
