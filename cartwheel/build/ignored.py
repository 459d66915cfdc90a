"""Finds the files that git ignores in a folder; files that it tracks never count."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cartwheel.build.source import run_git
from cartwheel.errors import BuildError

_LIST = ("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")


@dataclass(frozen=True)
class Ignored:
    """Ignored paths, relative to the folder. `notes` are for a person."""

    files: frozenset[str] = frozenset()
    folders: tuple[str, ...] = ()  # with a slash at the end
    notes: tuple[str, ...] = ()

    def __contains__(self, name: object) -> bool:
        return name in self.files or str(name).startswith(self.folders)


def ignored_in(root: Path) -> Ignored:
    """The files that git ignores below `root`, also in repositories inside it. Outside of a
    repository only .gitignore decides, as if nothing were tracked.

    Without git nothing is ignored, and a note says so if there is a .gitignore. Raises
    BuildError("source") if git does not answer.
    """
    found: list[str] = []
    try:
        for top in _repositories(root):
            prefix = f"{top.relative_to(root)}/" if top != root else ""
            found += [prefix + name for name in _listed(top)]
    except FileNotFoundError:
        note = "git is not installed here, so .gitignore is ignored; use app.exclude"
        return Ignored(notes=(note,) if (root / ".gitignore").is_file() else ())
    folders = tuple(name for name in found if name.endswith("/"))
    return Ignored(frozenset(found) - frozenset(folders), folders)


def _repositories(root: Path) -> Iterator[Path]:
    """The folder, and all repositories below it, which git does not look into by itself."""
    yield root
    for folder, folders, _ in os.walk(root):
        here = Path(folder)
        if here != root and (here / ".git").exists():
            yield here
        folders[:] = [name for name in folders if name not in (".git", "node_modules")]


def _listed(top: Path) -> list[str]:
    ended = run_git(top, *_LIST)
    if ended.status == 0 and b"./" not in ended.output.split(b"\0"):
        return _names(ended.output)
    # There is no repository; or one around it ignores this whole folder, which the settings chose.
    with tempfile.TemporaryDirectory(prefix="cartwheel-") as empty:
        ended = run_git(top, "init", "--quiet", "--bare", "--template=", empty)
        if ended.status == 0:
            ended = run_git(top, f"--git-dir={empty}", f"--work-tree={top}", *_LIST)
    if ended.status != 0:
        why = ended.errors_text.strip() or f"it {ended.how}"
        raise BuildError("source", f"git cannot list ignored files in {top}: {why}")
    return _names(ended.output)


def _names(output: bytes) -> list[str]:
    return [os.fsdecode(name) for name in output.split(b"\0") if name]
