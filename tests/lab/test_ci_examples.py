"""The examples for GitHub Actions and GitLab CI: their schemas, the page that shows them, and what
their jobs run, against a host."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from book.blocks import read
from cartwheel_lab import LabHost
from tests.kit.host import get
from tests.kit.project import CHECKOUT, Project, surroundings
from tests.kit.tiers import tiered

HOWTO = CHECKOUT / "docs/howto"
GITHUB, GITLAB = HOWTO / "ci/github-deploy.yml", HOWTO / "ci/gitlab-deploy.yml"
TITLES = {GITHUB: ".github/workflows/deploy.yml", GITLAB: ".gitlab-ci.yml"}
SCHEMAS = {
    GITHUB: ["--builtin-schema", "vendor.github-workflows"],
    GITLAB: ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}
DONE_HERE = {"name", "steps", "id", "env", "run", "script", "outputs"}
# What only the service does, by the key that asks for it.
ONLY_THERE = {
    "uses": "checks the sources out and installs Python; here a copy and a virtual environment",
    "if": "chooses the event or branch of a job; here the test says which jobs run",
    "rules": "the same at GitLab",
    "environment": "keeps secrets and waits for an approval",
    "concurrency": "runs one job of the group at a time",
    "resource_group": "the same at GitLab",
    "runs-on": "starts a machine; here that of the test",
    "needs": "orders the jobs; here the test does",
    "stage": "the same at GitLab",
    "timeout-minutes": "ends a job that takes too long",
    "timeout": "the same at GitLab",
    "interruptible": "lets a newer pipeline end a job",
}
HELLO = """
[app]
name = "hello"
source = "."
entry = "hello:app"

[secrets]
SECRET_KEY = { env = "SECRET_KEY" }

[gunicorn]
workers = 1
"""


@dataclass(frozen=True)
class Steps:
    """A service's machine: a folder with the project, a home, and variables of a job."""

    file: Path
    folder: Path
    home: Path
    env: Mapping[str, str]

    def job(self, name: str, **given: str) -> dict[str, str]:
        """Run a job's lines in order, as its service does; its outputs."""
        machine = replace(self, env={**self.env, **given})
        run = _github if self.file == GITHUB else _gitlab
        return run(machine, load(self.file), name)

    def shell(self, argv: list[str], script: str, **env: str) -> None:
        done = subprocess.run(
            [*argv, script],
            cwd=self.folder,
            env={**self.env, "HOME": str(self.home), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


def load(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file)


def _github(machine: Steps, text: Any, name: str) -> dict[str, str]:
    """https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell"""
    output = machine.home / "output"
    output.write_text("")
    for step in text["jobs"][name]["steps"]:
        if "run" in step:
            env = {key: _value(machine, said) for key, said in step.get("env", {}).items()}
            machine.shell(["bash", "-e", "-c"], step["run"], GITHUB_OUTPUT=str(output), **env)
    return dict(line.split("=", 1) for line in output.read_text().splitlines())


def _value(machine: Steps, said: str) -> str:
    """What `${{ secrets.NAME }}` or `${{ inputs.NAME }}` stands for."""
    name = said.removeprefix("${{ ").removesuffix(" }}").split(".")[1]
    return machine.env.get(f"GIVEN_{name}", "")


def _gitlab(machine: Steps, text: Any, name: str) -> dict[str, str]:
    """https://docs.gitlab.com/ci/yaml/#script: lines of one shell, which ends at a failure."""
    lines = [*text["default"]["before_script"], *_flat(text[name]["script"])]
    env = {key: machine.env[f"GIVEN_{key}"] for key in ("SSH_KEY", "SSH_KNOWN_HOSTS")}
    cache = str(machine.folder / ".cache/pip")
    machine.shell(["bash", "-e", "-c"], "\n".join(lines), PIP_CACHE_DIR=cache, **env)
    return {}


def _flat(lines: Iterable[Any]) -> Iterator[str]:
    for line in lines:
        if isinstance(line, str):
            yield line
        else:
            yield from line


@pytest.mark.parametrize("file", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_an_example_fits_its_schema(file: Path) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [program, *SCHEMAS[file], file], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", ["howto/ci.md", "zh/howto/ci.md"])
def test_the_page_shows_the_same_examples(page: str) -> None:
    blocks = {block.title: block.text for block in read(CHECKOUT / "docs" / page).blocks}
    for file, title in TITLES.items():
        assert blocks[title] == file.read_text(), f"{page}: {title}"


@pytest.mark.parametrize("file", [GITHUB, GITLAB], ids=["github", "gitlab"])
def test_the_jobs_run_here_but_for_what_only_the_service_does(file: Path) -> None:
    text = load(file)
    jobs = (
        text["jobs"]
        if file == GITHUB
        else {name: text[name] for name in (*text["stages"], "rollback")}
    )
    parts = [*jobs.values(), *(step for job in jobs.values() for step in job.get("steps", ()))]
    keys = {key for part in parts for key in part}
    assert keys - {"with"} <= DONE_HERE | ONLY_THERE.keys()


@pytest.fixture
def sources(tmp_path: Path, host: LabHost) -> Path:
    """examples/hello with settings, a fabfile, and the Cartwheel to install, for a host that was
    set up."""
    folder = tmp_path / "sources"
    subprocess.run(["cp", "-r", CHECKOUT / "examples/hello", folder], check=True, timeout=60)
    where = f'hosts = ["root@{host.address}:{host.port}"]\n'
    (folder / "cartwheel.toml").write_text(where + HELLO)
    (folder / "fabfile.py").write_text((CHECKOUT / "fabfile.py").read_text())
    (folder / "requirements-deploy.txt").write_text(f"{CHECKOUT}\n")
    state = str(tmp_path / "state")
    project = Project(folder, {"XDG_STATE_HOME": state, "PYTHONPATH": str(CHECKOUT)})
    project.fab("setup", "-H", host.name)
    return folder


def _machine(file: Path, top: Path, sources: Path, host: LabHost, **secrets: str) -> Steps:
    """A fresh machine of a service, with the variables that the service sets."""
    folder, home = top / "work", top / "home"
    home.mkdir(parents=True)
    subprocess.run(["cp", "-r", sources, folder], check=True, timeout=60)
    env = {key: text for key, text in surroundings().items() if key != "CARTWHEEL_LAB_STATE"}
    cache = env.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    env |= {"CI": "true", "XDG_CACHE_HOME": cache}
    if file == GITHUB:  # setup-python
        subprocess.run([sys.executable, "-m", "venv", top / "python"], check=True, timeout=60)
        env["PATH"] = f"{top / 'python/bin'}:{env['PATH']}"
        env |= {"GITHUB_SHA": "1" * 40, "GITHUB_ACTOR": "ann"}
        env |= {"GIVEN_SSH_KEY": host.identity.read_text()}
        env |= {"GIVEN_SSH_KNOWN_HOSTS": host.known_hosts.read_text()}
        env |= {f"GIVEN_{key}": text for key, text in secrets.items()}  # only for a step
    else:
        env |= {"CI_COMMIT_SHA": "1" * 40, "GITLAB_USER_LOGIN": "ann", **secrets}
        env |= {"GIVEN_SSH_KEY": str(host.identity)}  # variables of the kind "file"
        env |= {"GIVEN_SSH_KNOWN_HOSTS": str(host.known_hosts)}
    return Steps(file, folder, home, env)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "file", tiered([GITHUB, GITLAB], nightly={GITLAB.name}), ids=["github", "gitlab"]
)
def test_the_jobs_of_an_example(file: Path, tmp_path: Path, sources: Path, host: LabHost) -> None:
    """Each job has a machine of its own at its service; here they share one."""
    first = _machine(file, tmp_path / "1", sources, host, SECRET_KEY="for a test")
    first.job("test")
    assert first.job("plan") == ({"changes": "yes"} if file == GITHUB else {})
    first.job("deploy")
    assert get(host, "/healthz")
    assert _fab(first, "history").count("1" * 40 + " by ann") == 1
    if file == GITHUB:
        assert first.job("plan") == {"changes": "no"}

    old = host.sh("readlink /srv/hello/current")
    page = first.folder / "src/hello/templates/index.html"
    page.write_text(page.read_text() + "<!-- new -->\n")
    first.job("deploy")
    assert host.sh("readlink /srv/hello/current") != old
    first.job("rollback")
    assert host.sh("readlink /srv/hello/current") == old


def _fab(machine: Steps, task: str) -> str:
    folder = machine.folder / ".venv" if machine.file == GITLAB else machine.home.parent / "python"
    done = subprocess.run(
        [folder / "bin/fab", task],
        cwd=machine.folder,
        env={**machine.env, "HOME": str(machine.home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
