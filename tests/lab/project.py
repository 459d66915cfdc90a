"""A user's project in a folder, and `fab` typed in it, as a person would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartwheel_lab import LabHost

CHECKOUT = Path(__file__).resolve().parents[2]
FAB = str(Path(sys.executable).with_name("fab"))

# What the console script of an installed wheel does.
_CARTWHEEL = "from cartwheel.fab.words import main; main()"

# Tests deploy often: nothing here needs to wait for long requests.
QUICK = """
[deploy]
drain_seconds = 2
probation_seconds = 0.5
[gunicorn]
workers = 1
"""

# Answers what it is: its text, its own variables, the main process of its instance. Without
# a framework, so that nothing but gunicorn has to be installed.
APP = """
import json
import os

TEXT = "{text}"


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/env/"):
        body = json.dumps(os.environ.get(path[len("/env/"):]))
    else:
        body = {"/": TEXT, "/healthz": "ok", "/pid": str(os.getppid())}.get(path)
    status = "404 Not Found" if body is None else "200 OK"
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [(body or "").encode()]
"""


def surroundings() -> dict[str, str]:
    """What a person's environment would be."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


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
    """A folder with a fabfile and settings; `env` is what `fab` sees beside our own variables,
    `under` a command that runs it (strace)."""

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
        """The application's text: another one is another release."""
        self.write(f"{folder}/app.py", APP.replace("{text}", text))
        self.write(f"{folder}/requirements.txt", "")

    def environment(self) -> dict[str, str]:
        """A person's: `fab` keeps its bytecode, whatever the tests were started with. Records of
        runs stay with the project, away from the developer's own."""
        state = str(self.folder / "state")
        return {**surroundings(), "PYTHONUNBUFFERED": "1", "XDG_STATE_HOME": state, **self.env}

    def cartwheel(self, *words: str, keyboard: int = subprocess.DEVNULL) -> Done:
        """Run `cartwheel WORDS`, as somebody types it where there is no fabfile yet."""
        done = subprocess.run(
            [sys.executable, "-c", _CARTWHEEL, *words],
            cwd=self.folder,
            env={**self.environment(), "PYTHONPATH": str(CHECKOUT)},
            stdin=keyboard,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def command(self, *words: str) -> list[str]:
        return [*self.under, FAB, *words]

    def fab(
        self, *words: str, code: int | None = 0, given: str = "", timeout: float = 240.0
    ) -> Done:
        """Run `fab WORDS`; its exit code must be `code` (None: any)."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment(),
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        found = Done(done.returncode, done.stdout, done.stderr)
        assert code is None or found.code == code, f"fab {' '.join(words)}: {found}"
        return found


def copied_checkout(folder: Path, planted: Sequence[tuple[str, str, str]]) -> Path:
    """A copy of this Cartwheel with something else planted in it: file, text, other text."""
    for part in ("cartwheel", "lab", "tasks", "templates", "config"):
        shutil.copytree(
            CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name, right, wrong in planted:
        text = (folder / name).read_text()
        assert text.count(right) == 1, f"{name}: {right!r}"
        (folder / name).write_text(text.replace(right, wrong))
    return folder


def fabfile(checkout: Path) -> str:
    """A project's fabfile, with the Cartwheel of a checkout."""
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


# --- looking at a host, past Cartwheel ----------------------------------------------------


def get(host: LabHost, path: str = "/", name: str = "localhost", timeout: float = 10) -> str:
    """What the host's web server answers to a person outside. Raises on anything but 200."""
    request = urllib.request.Request(host.url(path), headers={"Host": name})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        body: bytes = answer.read()
    return body.decode()


def status(host: LabHost, path: str = "/", name: str = "localhost") -> int:
    """The HTTP status that the host's web server answers with."""
    request = urllib.request.Request(host.url(path), headers={"Host": name})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def current(host: LabHost, app: str) -> str:
    """The release that serves."""
    return host.sh(f"basename $(readlink /srv/{app}/current)").strip()


def releases(host: LabHost, app: str) -> set[str]:
    return set(host.sh(f"ls /srv/{app}/releases").split())


def journal(host: LabHost, app: str) -> list[dict[str, Any]]:
    lines = host.sh(f"cat /srv/{app}/journal.jsonl").splitlines()
    return [json.loads(line) for line in lines]


def main_pids(host: LabHost, app: str) -> dict[str, int]:
    """The running instances of exactly this application: unit -> main PID in the host."""
    text = host.sh("systemctl show --property=Id,MainPID 'cartwheel-*.web*.service' || true")
    found = re.findall(r"MainPID=(\d+)\nId=(\S+)", text) + [
        (pid, unit) for unit, pid in re.findall(r"Id=(\S+)\nMainPID=(\d+)", text)
    ]
    ours = re.compile(rf"cartwheel-{re.escape(app)}\.web(-[b-d])?\.\d")
    return {unit: int(pid) for pid, unit in found if ours.match(unit) and int(pid)}


def await_sessions(host: LabHost, seconds: float = 20.0, units: str = "cartwheel-session*") -> None:
    """The host side may still be leaving when `fab` has: wait until it is gone."""
    until = time.monotonic() + seconds
    while host.sh(f"systemctl list-units --all --plain --no-legend '{units}'"):
        assert time.monotonic() < until, "a session of the host side stays"
        time.sleep(0.1)


def footprint(host: LabHost, *roots: str, contents: bool = True) -> set[str]:
    """Every file below `roots`: kind, mode, owner, target, and its digest, one string each."""
    find = f"find {' '.join(roots)} -xdev"
    lines = host.sh(f"{find} -printf '%y %m %u:%g %p -> %l\\n' 2>/dev/null || true").splitlines()
    if contents:
        sums = f"{find} -type f -exec sha256sum {{}} + 2>/dev/null || true"
        lines += host.sh(sums, timeout=120).splitlines()
    return set(lines)


def marks(host: LabHost, *roots: str) -> dict[str, str]:
    """Every path below `roots` with what changes when anybody touches it: inode, times, size."""
    lines = host.sh(f"find {' '.join(roots)} -xdev -printf '%p\\t%i %T@ %C@ %s %m %U %l\\n'")
    return dict(line.split("\t", 1) for line in lines.splitlines())


def touched(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The paths that were made, changed or removed in between."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
