"""The git commit that a source is at."""

from __future__ import annotations

from pathlib import Path

from cartwheel.build.source import run_git
from cartwheel.errors import BuildError

DIRTY = "-dirty"  # as `git describe --dirty` writes it


def commit_of(folder: Path) -> str:
    """The commit of the folder's repository; it ends with DIRTY if files below the folder differ
    from it or are not in it. "" without git or a commit: nothing depends on it."""
    try:
        head = run_git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
        if head.status != 0:
            return ""
        changed = run_git(folder, "status", "--porcelain", "--", ".")
    except (FileNotFoundError, BuildError):
        return ""
    return head.output_text.strip() + (DIRTY if changed.output_text.strip() else "")
