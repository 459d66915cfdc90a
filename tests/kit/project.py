"""A user's project in a folder, in which `fab` runs as a person would run it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit import apps
from tests.kit.forked import Forking

CHECKOUT = Path(__file__).resolve().parents[2]
FAB = str(Path(sys.executable).with_name("fab"))

# The same as the console script of an installed wheel.
_CARTWHEEL = "from cartwheel.fab.fabfile import main; main()"

# Tests deploy often, so they do not wait for long requests.
QUICK = """
[deploy]
drain_seconds = 2
probation_seconds = 0.5
[gunicorn]
workers = 1
"""

# The same for a plain folder, on hosts that soon notice a lost line.
SHOP = """
[app]
name = "shop"
source = "app"
[tests]
skip = true
[deploy]
drain_seconds = 2
probation_seconds = 0.5
lease_seconds = 5
[gunicorn]
workers = 1
[health]
deadline_seconds = 10
"""


def surroundings() -> dict[str, str]:
    """The environment of a person, without additions of the test run: pytest's workers set a width
    of the terminal."""
    added = ("PYTHONDONTWRITEBYTECODE", "COLUMNS", "LINES")
    return {name: value for name, value in os.environ.items() if name not in added}


@dataclass(frozen=True)
class Done:
    """A `fab` that ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return f"{self.out}\n{self.err}"


@dataclass(frozen=True)
class Project:
    """A folder with a fabfile and settings. `env` are additional variables for `fab`, `under` is a
    command that runs it (strace)."""

    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    under: tuple[str, ...] = ()

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def settings(self, text: str, name: str = "config/deploy.toml") -> None:
        self.write(name, textwrap.dedent(text))

    def app(self, text: str, folder: str = "app") -> None:
        """Set the application's text; another text makes another release."""
        self.write(f"{folder}/app.py", apps.plain(text))
        self.write(f"{folder}/requirements.txt", "")

    def environment(self) -> dict[str, str]:
        """A person's environment: `fab` keeps its bytecode, however the tests were started. Records
        of runs stay in the project, separate from the developer's own."""
        state = str(self.folder / "state")
        return {**surroundings(), "PYTHONUNBUFFERED": "1", "XDG_STATE_HOME": state, **self.env}

    def cartwheel(self, *words: str, code: int = 0, keyboard: int = subprocess.DEVNULL) -> Done:
        """Run `cartwheel WORDS`, as a person would where there is no fabfile yet."""
        done = subprocess.run(
            [sys.executable, "-c", _CARTWHEEL, *words],
            cwd=self.folder,
            env={**self.environment(), "PYTHONPATH": str(CHECKOUT)},
            stdin=keyboard,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def command(self, *words: str) -> list[str]:
        return [*self.under, FAB, *words]

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        """Start `fab WORDS` without waiting for its end; what it prints is dropped."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def fab(
        self, *words: str, code: int | None = 0, given: str = "", timeout: float = 240.0
    ) -> Done:
        """Run `fab WORDS`; its exit code must be `code` (None: any)."""
        argv, env = self.command(*words), self.environment()
        if self._is_forked(env):
            done = forking().run(argv, self.folder, env, given, timeout)
        else:
            done = subprocess.run(
                argv,
                cwd=self.folder,
                env=env,
                input=given,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        found = Done(done.returncode, done.stdout, done.stderr)
        assert code is None or found.code == code, f"fab {' '.join(words)}: {found}"
        return found

    def _is_forked(self, env: Mapping[str, str]) -> bool:
        """Whether a process that has imported this checkout can run it."""
        python = {name for name in env if name.startswith("PYTHON")} - {"PYTHONUNBUFFERED"}
        own = self.folder / "fabfile.py"
        is_ours = own.exists() and own.read_text() == fabfile(CHECKOUT)
        return is_ours and not self.under and not python


@functools.cache
def forking() -> Forking:
    """One for each process that runs tests."""
    return Forking()


def copied_checkout(folder: Path, planted: Sequence[tuple[str, str, str]]) -> Path:
    """A copy of this Cartwheel, without the lab, with planted changes: (file, text, new text)."""
    for part in ("cartwheel", "tasks", "templates", "config"):
        shutil.copytree(
            CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name, right, wrong in planted:
        text = (folder / name).read_text()
        assert text.count(right) == 1, f"{name}: {right!r}"
        (folder / name).write_text(text.replace(right, wrong))
    return folder


def fabfile(checkout: Path) -> str:
    """A project's fabfile that uses the Cartwheel of a checkout."""
    own = (CHECKOUT / "fabfile.py").read_text()
    return f"import sys\nsys.path.insert(0, {str(checkout)!r})\n{own}"


def new_project(
    folder: Path, *, settings: str = "", name: str = "shop", env: Mapping[str, str] | None = None
) -> Project:
    """A project with one plain application, ready to deploy."""
    project = Project(folder, env or {})
    project.write("fabfile.py", fabfile(CHECKOUT))
    project.app("one")
    project.settings(
        f'[app]\nname = "{name}"\nsource = "app"\nentry = "app:app"\n'
        + QUICK
        + textwrap.dedent(settings)
    )
    return project
