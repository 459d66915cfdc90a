"""The examples with a queue: put jobs in by HTTP, and read what happened to them."""

from __future__ import annotations

import json
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartwheel_lab import LabHost
from tests.kit.project import CHECKOUT, Project, fabfile
from tests.kit.waiting import until


@dataclass(frozen=True)
class Step:
    what: str
    at: float


@dataclass(frozen=True)
class Example:
    """One of the examples: `path` takes jobs, and `done` is the last step of each."""

    name: str
    path: str
    done: str


SHOP = Example("shop", "/orders", "packed")
BOARD = Example("board", "/posts", "published")


@dataclass(frozen=True)
class Queue:
    """An example on a host, answering to a name of its own."""

    example: Example
    host: LabHost
    project: Project

    def put(self, seconds: float) -> int:
        """Put in a job that takes so long; its number."""
        return int(self.asked(f"{self.example.path}?seconds={seconds}", "POST")["id"])

    def steps(self, job: int) -> list[Step]:
        """What happened to a job: put in, begun, done."""
        lines = self.asked(f"{self.example.path}/{job}")["steps"]
        return [Step(what, float(at)) for what, at in map(str.split, lines)]

    def has_begun(self, job: int) -> bool:
        return len(self.steps(job)) > 1

    def is_done(self, job: int) -> bool:
        return any(step.what == self.example.done for step in self.steps(job))

    def await_done(self, *jobs: int, seconds: float = 60) -> None:
        def missing() -> list[int]:
            return [job for job in jobs if not self.is_done(job)]

        until(lambda: not missing(), seconds, shown=lambda: {job: self.steps(job) for job in jobs})

    def assert_done_once(self, *jobs: int) -> None:
        for job in jobs:
            found = [step.what for step in self.steps(job)]
            assert found[1:] == ["begun", self.example.done], f"job {job}: {found}"

    def release(self, number: int) -> None:
        """Make another release of it."""
        path = self.project.folder / "pyproject.toml"
        lines = path.read_text().splitlines()
        made = [f'version = "1.0.{number}"' if one.startswith("version") else one for one in lines]
        path.write_text("\n".join(made) + "\n")

    def asked(self, path: str, method: str = "GET") -> Any:
        """The JSON that the site answers."""
        request = urllib.request.Request(
            self.host.url(path), headers={"Host": f"{self.example.name}.test"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def copied(example: Example, host: LabHost, folder: Path, settings: str) -> Queue:
    """A copy of the example, with these settings in addition to its own."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", ".pytest_cache", "build")
    shutil.copytree(CHECKOUT / "examples" / example.name, folder, ignore=ignored)
    project = Project(folder)
    project.write("fabfile.py", fabfile(CHECKOUT))
    own = (folder / "cartwheel.toml").read_text()
    site = f'[web]\nserver_names = ["{example.name}.test"]\n'
    project.write("cartwheel.toml", own + site + settings)
    return Queue(example, host, project)
