"""`fab` in a git hook: the repository that is pushed or committed to stays as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kit.project import CHECKOUT, FAB, Project, fabfile, surroundings

pytestmark = pytest.mark.build

PYPROJECT = """
[build-system]
requires = ["setuptools>=77", "setuptools-scm>=8"]
build-backend = "setuptools.build_meta"
[project]
name = "shop"
dynamic = ["version"]
[tool.setuptools]
py-modules = ["shop"]
[tool.setuptools_scm]
"""
SETTINGS = """
[app]
name = "shop"
source = "."
entry = "shop:app"
[secrets]
TOKEN = { command = "env > secret.env; echo token" }
"""


class Repository:
    """A repository of an application, with a remote to push to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repository"
        self.folder.mkdir()
        for name, text in {
            "pyproject.toml": PYPROJECT,
            "shop.py": "app = None\n",
            "fabfile.py": fabfile(CHECKOUT),
            "config/deploy.toml": SETTINGS,
            ".gitignore": "said*\nsecret.env\nfabfile.py\n__pycache__\n",
        }.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.git("init", "-q", "-b", "main")
        self.git("add", ".")
        self.git("commit", "-qm", "one")
        self.git("tag", "v3.1")
        self.git("init", "-q", "--bare", str(folder / "remote.git"))
        self.git("remote", "add", "origin", str(folder / "remote.git"))

    def git(self, *words: str, cwd: Path | None = None) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        done = subprocess.run(
            ["git", *who, *words],
            cwd=cwd or self.folder,
            env=surroundings(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done
        return done.stdout

    def hook(self, name: str) -> None:
        path = self.folder / ".git" / "hooks" / name
        path.write_text(
            "#!/bin/sh\nenv > said.env\n"
            f"{FAB} build > said 2>&1 && {FAB} secrets.check >> said 2>&1\n"
        )
        path.chmod(0o755)

    def state(self, folder: Path | None = None) -> list[str]:
        """All of it that a build might change."""
        looks = (
            "config --local --list",
            "ls-files --stage",
            "status --porcelain",
            "rev-parse HEAD",
        )
        return [self.git(*look.split(), cwd=folder) for look in looks]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def inherited(folder: Path) -> set[str]:
    """The variables of git's that the hook had."""
    lines = (folder / "said.env").read_text().splitlines()
    return {line.partition("=")[0] for line in lines if line.startswith("GIT_")}


def test_in_a_push_staged_files_stay_staged(repository: Repository) -> None:
    repository.hook("pre-push")
    (repository.folder / "new.py").write_text("staged = True\n")
    (repository.folder / "shop.py").write_text("app = 1\n")
    repository.git("add", "new.py", "shop.py")
    before = repository.state()
    repository.git("push", "-q", "origin", "main")
    assert repository.state() == before
    assert "shop-3.2.dev0" in (repository.folder / "said").read_text()


def test_in_a_commit_the_index_is_the_commits(repository: Repository) -> None:
    """Such a hook has GIT_INDEX_FILE, with `commit -a` of another file than the index."""
    repository.hook("pre-commit")
    (repository.folder / "shop.py").write_text("app = 1\n")
    repository.git("commit", "-qam", "two")
    assert "GIT_INDEX_FILE" in inherited(repository.folder)
    assert repository.git("show", "--name-only", "--format=%s").split() == ["two", "shop.py"]
    assert repository.git("status", "--porcelain") == ""
    assert repository.git("config", "core.bare") == "false\n"
    assert "shop-3.2.dev0" in (repository.folder / "said").read_text()
    assert "GIT_INDEX_FILE" not in (repository.folder / "secret.env").read_text()


def test_with_every_variable_of_a_hook(repository: Repository, tmp_path: Path) -> None:
    """In a linked work tree, and at a server, git sets GIT_DIR, GIT_WORK_TREE and others; these
    are another repository's, so what took them would be seen."""
    other = tmp_path / "other"
    repository.git("clone", "-q", ".", str(other))
    (other / "lost.py").write_text("")
    repository.git("add", "lost.py", cwd=other)
    repository.git("tag", "v9", cwd=other)
    before = repository.state(), repository.state(other)
    foreign = {
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": str(other / ".git" / "index"),
        "GIT_OBJECT_DIRECTORY": str(other / ".git" / "objects"),
        "GIT_COMMON_DIR": str(other / ".git"),
        "GIT_PREFIX": "config/",
        "GIT_QUARANTINE_PATH": str(other / ".git" / "objects"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.bare",
        "GIT_CONFIG_VALUE_0": "true",
    }
    project = Project(repository.folder, {**foreign, "XDG_STATE_HOME": str(other.parent / "state")})
    assert "shop-3.1-" in project.fab("build").out
    project.fab("secrets.check")
    assert (repository.state(), repository.state(other)) == before
    known = (repository.folder / "secret.env").read_text()
    local = repository.git("rev-parse", "--local-env-vars").split()
    assert not [name for name in local if f"\n{name}=" in f"\n{known}"]
    assert "GIT_QUARANTINE_PATH=" in known, "what is no repository's is the user's"


def test_nothing_foreign_comes_to_a_build(repository: Repository, tmp_path: Path) -> None:
    """A back end of the repository's own says what it was given."""
    (repository.folder / "backend.py").write_text(
        "import os, pathlib\nfrom setuptools.build_meta import *\n"
        f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(repr(dict(os.environ)))\n"
    )
    text = PYPROJECT.replace("setuptools.build_meta", "backend", 1)
    text = text.replace(
        'build-backend = "backend"', 'build-backend = "backend"\nbackend-path = ["."]'
    )
    (repository.folder / "pyproject.toml").write_text(text)
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "sitecustomize.py").write_text(
        f"open({str(tmp_path / 'evil' / 'ran')!r}, 'w')\n"
    )
    foreign = {
        "PYTHONPATH": str(tmp_path / "evil"),
        "PYTHONSTARTUP": "/nowhere",
        "LD_LIBRARY_PATH": str(tmp_path),
        "PIP_TARGET": str(tmp_path / "target"),
        "PIP_NO_DEPS": "1",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "UV_CONSTRAINT": "/no/such/file",
        "UV_OFFLINE": "1",
        "UV_NO_BUILD": "1",
        "UV_CONFIG_FILE": "/no/such/file",
        "UV_PROJECT": "/nowhere",
        "CARTWHEEL_TEST_OF_MINE": "kept",
    }
    places = {f"XDG_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("CACHE", "STATE")}
    under = ("env", "-u", "PYTHONPATH")
    Project(repository.folder, {**foreign, **places}, under=under).fab("build")
    seen = (tmp_path / "seen").read_text()
    assert not [name for name in foreign if name in seen and name != "CARTWHEEL_TEST_OF_MINE"]
    assert "CARTWHEEL_TEST_OF_MINE" in seen
