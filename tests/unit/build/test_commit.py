"""The git commit of a source."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cartwheel.build.commit import commit_of

ME = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *ME, "-C", str(folder), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_commit_and_whether_the_tree_is_clean(tmp_path: Path) -> None:
    app, other = tmp_path / "app", tmp_path / "other"
    for folder in (app, other):
        folder.mkdir()
        (folder / "file").write_text("1")
    assert commit_of(app) == ""
    git(tmp_path, "init", "--quiet")
    assert commit_of(app) == ""
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit_of(app) == head
    (other / "file").write_text("2")
    assert commit_of(app) == head, "what is beside the source does not matter"
    for name in ("cartwheel.toml", "fabfile.py", ".cartwheel/apps/x.toml", "__pycache__/x.pyc"):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text("")
    assert commit_of(app) == head, "these are no part of the application"
    (app / "new").write_text("")
    assert commit_of(app) == f"{head}-dirty"
