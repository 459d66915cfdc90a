"""Which environment programs on this machine are given."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cartwheel import process_env
from tests.kit.project import new_project

FOREIGN = {
    "GIT_DIR": "/elsewhere/.git",
    "GIT_INDEX_FILE": "/elsewhere/.git/index",
    "GIT_QUARANTINE_PATH": "/elsewhere",
    "GIT_SSH_COMMAND": "ssh -i key",
    "LD_LIBRARY_PATH": "/elsewhere",
    "PYTHONPATH": "/elsewhere",
    "PIP_TARGET": "/elsewhere",
    "UV_OFFLINE": "1",
    "MINE": "mine",
}


@pytest.fixture(autouse=True)
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)


def given(known: dict[str, str]) -> set[str]:
    return {name for name in FOREIGN if name in known}


def test_the_user_keeps_all_but_what_is_of_a_repository() -> None:
    assert given(process_env.of_user()) == set(FOREIGN) - {"GIT_DIR", "GIT_INDEX_FILE"}
    assert process_env.of_user({"GIT_DIR": "asked for"})["GIT_DIR"] == "asked for"


def test_tools_get_what_reaches_others_and_nothing_that_changes_them() -> None:
    assert given(process_env.of_tools()) == {"GIT_SSH_COMMAND", "MINE"}
    assert process_env.of_tools({"PYTHONPATH": "ours"})["PYTHONPATH"] == "ours"


def test_this_machines_git_names_no_more() -> None:
    done = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= process_env.GIT_LOCAL


def test_each_of_the_users_commands_has_the_users_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")  # fab itself would have it
    monkeypatch.delenv("LD_LIBRARY_PATH")
    project = new_project(tmp_path)
    project.write(
        "hosts", '#!/bin/sh\nenv > inventory.env\necho \'{"_meta": {"hostvars": {}}}\'\n'
    ).chmod(0o755)
    app = '[app]\nname = "shop"\nsource = "app"\nentry = "app:app"\n[tests]\nskip = true\n'
    hosts = "".join(
        f'[inventory.hosts.web{number}]\naddress = "192.0.2.{number}"\n' for number in (1, 2)
    )
    for kind, words, text in (
        ("secret", "secrets.check", "[secrets]\nA = { command = 'env > secret.env; echo a' }\n"),
        ("inventory", "inventory", "[inventory]\ncommand = './hosts'\n"),
        (
            "balancer",
            "balancer.out -H web1",
            f"{hosts}[balancer]\nkind = 'command'\ncommand = 'env > balancer.env'\n",
        ),
        (
            "hook",
            "deploy -H web1",
            f"{hosts}[hooks.dump]\nbefore = 'run'\ncommand = 'env > hook.env; exit 1'\n",
        ),
    ):
        project.settings(app + text)
        project.fab(*words.split(), code=None)
        lines = (tmp_path / f"{kind}.env").read_text().splitlines()
        known = dict(line.split("=", 1) for line in lines if "=" in line)
        expected = set(FOREIGN) - {"GIT_DIR", "GIT_INDEX_FILE", "PYTHONPATH", "LD_LIBRARY_PATH"}
        assert given(known) == expected, kind
