"""The git commit that a source is at."""

from __future__ import annotations

from pathlib import Path

from cartwheel.build.source import run_git
from cartwheel.errors import BuildError
from cartwheel.settings.project_files import own_files

_BYTECODE = ":(exclude,glob)**/__pycache__/**"
DIRTY = "-dirty"  # as `git describe --dirty` writes it


def commit_of(folder: Path) -> str:
    """The commit of the folder's repository; it ends with DIRTY if files of the application differ
    from it or are not in it. "" without git or a commit: nothing depends on it."""
    try:
        head = run_git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
        if head.status != 0:
            return ""
        left_out = [f":(exclude){name}" for name in own_files(folder)]
        changed = run_git(folder, "status", "--porcelain", "--", ".", *left_out, _BYTECODE)
    except (FileNotFoundError, BuildError):
        return ""
    return head.output_text.strip() + (DIRTY if changed.output_text.strip() else "")
