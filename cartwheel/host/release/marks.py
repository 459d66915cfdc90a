"""The marks of a release that is being made: the finished steps, and their input.

Each step writes a digest of its input to `steps.json`. A step whose mark fits is skipped; an
interrupted step starts from scratch. Marks count for this boot only: until the release is complete
the files of a step may not be on the disk yet, and a power cut may keep the marks and lose them.
"""

from __future__ import annotations

from pathlib import Path

from cartwheel.host.layout import Layout
from cartwheel.host.state import releases
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.messages import Table

_TAIL_LINES = 30
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # random(4): a new one after each boot
_BOOT = "boot"


def opened(at: Layout, release: str) -> Path:
    """The folder of the release to work on; made and marked as Cartwheel's if needed."""
    folder = at.release(release)
    files.directory(folder, 0o755)
    if not _path(at, release).exists():
        forget(at, release)
    return folder


def _path(at: Layout, release: str) -> Path:
    return at.release(release) / "steps.json"


def done(at: Layout, release: str) -> Table:
    """The marks that were made since this boot."""
    try:
        marks = files.read_json(_path(at, release)) or {}
    except OpError:
        return {}
    return marks if marks.get(_BOOT) == _boot_id() else {}


def _boot_id() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()


def marked(at: Layout, release: str, step: str, digest: str) -> bool:
    """Whether the step was done with this input; True for a complete release."""
    if releases.manifest_path(at, release).exists():
        return True
    return bool(done(at, release).get(step) == digest)


def mark(at: Layout, release: str, step: str, digest: str) -> None:
    marks = {**done(at, release), _BOOT: _boot_id(), step: digest}
    files.write_json(_path(at, release), marks)


def forget(at: Layout, release: str) -> None:
    """Forget all steps; the release stays marked as being made."""
    files.write_json(_path(at, release), {})


def tail(output: str) -> str:
    """The last lines of a program's output, for a message."""
    return "\n".join(output.splitlines()[-_TAIL_LINES:])
