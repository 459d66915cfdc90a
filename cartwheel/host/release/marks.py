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
from cartwheel.host.system.context import OpError, boot_id
from cartwheel.host.wire.messages import Table

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
    boot = boot_id()
    return marks if boot and marks.get(_BOOT) == boot else {}


def marked(at: Layout, release: str, step: str, digest: str) -> bool:
    """Whether the step was done with this input; True for a complete release."""
    if releases.manifest_path(at, release).exists():
        return True
    return bool(done(at, release).get(step) == digest)


def mark(at: Layout, release: str, step: str, digest: str) -> None:
    marks = {**done(at, release), _BOOT: boot_id(), step: digest}
    files.write_json(_path(at, release), marks)


def forget(at: Layout, release: str) -> None:
    """Forget all steps; the release stays marked as being made."""
    files.write_json(_path(at, release), {})
