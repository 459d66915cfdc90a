"""Completion with the Tab key, in the real shells."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyte
import pytest

from cartwheel import places
from cartwheel.fab.completion import SCRIPTS
from tests.kit.project import CHECKOUT, FAB, fabfile
from tests.kit.terminal import Terminal, take_terminal

SETTINGS = """
hosts = ["ann@plzen:2222", "paris", "praha"]
[app]
name = "shop"
source = "."
[web]
server_names = ["shop.example.org"]
[inventory.groups.europe]
[inventory.hosts.paris]
groups = ["europe"]
[inventory.hosts.praha]
[processes.worker]
command = "celery worker"
[processes.beat]
command = "celery beat"
"""
SHELLS = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
LOAD = {
    "bash": 'eval "$(fab completion --shell bash)"',
    "zsh": 'autoload -Uz compinit && compinit -D; eval "$(fab completion --shell zsh)"',
    "fish": "fab completion --shell fish | source",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "fabfile.py").write_text(fabfile(CHECKOUT))
    (tmp_path / "cartwheel.toml").write_text(SETTINGS)
    environments = tmp_path / ".cartwheel" / "environments"
    environments.mkdir(parents=True)
    for name in ("production", "staging"):
        (environments / f"{name}.toml").write_text("")
    runs = tmp_path / "state" / "cartwheel" / "runs"
    runs.mkdir(parents=True)
    about = {"word": "deploy", "app": "shop", "environment": None, "hosts": ["paris"]}
    hosts = [{"serves": "1.4.0.7f3a1c02", "before": "1.3.0.0badcafe"}]
    lines: list[dict[str, Any]] = [{"type": "run", **about}, {"type": "result", "hosts": hosts}]
    texts = [json.dumps({**one, "at": 1.0, "began": 1.0, "message": ""}) for one in lines]
    (runs / "1m8amx43s.jsonl").write_text("".join(f"{line}\n" for line in texts))
    return tmp_path


def environment(project: Path) -> dict[str, str]:
    path = f"{Path(FAB).parent}:{os.environ['PATH']}"
    home = {"HOME": str(project), "XDG_STATE_HOME": str(project / "state"), "PATH": path}
    return {**os.environ, **home, "TERM": "xterm", "PS1": "$ ", places.LAB_VARIABLE: "/nowhere"}


def offered(project: Path, *words: str) -> list[str]:
    done = subprocess.run(
        [FAB, "--complete", "--", "fab", *words],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_what_is_offered(project: Path) -> None:
    assert {"deploy", "config.init", "completion"} <= set(offered(project, ""))
    assert offered(project, "deploy", "-H", "") == ["ann@plzen:2222", "paris", "praha"]
    assert offered(project, "-H", "pa") == ["ann@plzen:2222", "paris", "praha"]
    assert offered(project, "deploy", "-H", "paris,") == ["paris,ann@plzen:2222", "paris,praha"]
    assert offered(project, "deploy", "--env", "") == ["production", "staging"]
    assert offered(project, "deploy", "--env=") == ["--env=production", "--env=staging"]
    assert offered(project, "deploy", "--env", "=", "pro") == ["production", "staging"]
    assert offered(project, "deploy", "--env", "=") == ["production", "staging"]
    assert offered(project, "deploy", "--app", "") == ["shop"]
    assert offered(project, "deploy", "--role", "") == ["web"]
    assert offered(project, "deploy", "--limit", "") == [
        "europe",
        "ann@plzen:2222",
        "paris",
        "praha",
    ]
    assert offered(project, "rollback", "--to", "") == ["1.4.0.7f3a1c02", "1.3.0.0badcafe"]
    assert offered(project, "rollback", "--env", "staging", "--to", "") == []
    assert offered(project, "runs.show", "") == ["last", "1m8amx43s"]
    assert offered(project, "explain", "CW6")[:3] == ["CW101", "CW102", "CW103"]
    assert "nginx-access" in offered(project, "logs", "--source", "")
    assert offered(project, "logs", "--process", "") == ["web", "worker", "beat"]
    assert offered(project, "process.stop", "--name", "worker,") == ["worker,beat"]
    assert {"--env", "--dry-run", "--hosts"} <= set(offered(project, "deploy", "--"))
    assert "--dry-run" in offered(project, "deploy", "-H", "paris", "")
    assert "deploy" in offered(project, "--help", "")
    assert offered(project, "deploy", "--plan", "") == []


def test_settings_with_mistakes_offer_what_is_left(project: Path) -> None:
    (project / "cartwheel.toml").write_text("[app")
    assert offered(project, "deploy", "-H", "") == []
    assert offered(project, "deploy", "--env", "") == ["production", "staging"]


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest, project: Path) -> Iterator[Terminal]:
    """An interactive shell in which the script was loaded."""
    name = request.param
    assert shutil.which(name), f"run script/test-packages: there is no {name}"
    parent, child = pty.openpty()
    process = subprocess.Popen(
        SHELLS[name],
        cwd=project,
        env=environment(project),
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509 - no threads here
    )
    os.close(child)
    terminal = Terminal(process, parent, pyte.Screen(100, 40))
    try:
        terminal.type(f"{LOAD[name]}; echo load''ed\n")
        terminal.shows("loaded")
        yield terminal
    finally:
        process.kill()
        process.wait()
        os.close(parent)


def test_in_a_real_shell(shell: Terminal) -> None:
    shell.type("fab deploy --env pro\t")
    shell.shows("fab deploy --env production")
    shell.type("-H par\t")
    shell.shows("fab deploy --env production -H paris")
    shell.type("\x15fab status -H paris,ann@pl\t")
    shell.shows("fab status -H paris,ann@plzen:2222")
    shell.type("\x15fab status -H ann@plzen:2\t")
    shell.shows("fab status -H ann@plzen:2222")
    shell.type("\x15fab status --env=sta\t")
    shell.shows("fab status --env=staging")


def test_the_scripts_are_for_both_programs() -> None:
    assert sorted(SCRIPTS) == sorted(SHELLS)
    assert all("fab cartwheel" in script for script in SCRIPTS.values())
