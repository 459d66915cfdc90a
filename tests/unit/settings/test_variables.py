"""Variables and secrets: exact values, honest sources, no value in any message."""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import UsageError
from cartwheel.settings import variables
from cartwheel.settings.toml_tables import Secret, Settings
from cartwheel.settings.variables import environment, resolve_secret, take_from_environment
from tests.kit.project import new_project

HIDDEN = "hunter2"


def settings(**more: Any) -> Settings:
    return Settings.model_validate({"app": {"name": "shop", "source": "."}, **more})


def refused(call: Any, *args: Any) -> UsageError:
    """The error of a call; its whole traceback never shows the hidden value."""
    with pytest.raises(UsageError) as caught:
        call(*args)
    error = caught.value
    told = [str(error), error.detail, error.hint, *traceback.format_exception_only(error)]
    assert HIDDEN not in "".join(told)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


def test_every_variable_says_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATORS_OWN", "from-env")
    (tmp_path / "key").write_text("from-file\n")
    (tmp_path / ".env").write_text("DOTENV=from-dotenv\nPLAIN=loses\n")
    found = environment(
        settings(
            env={"PLAIN": "from-settings"},
            env_file=".env",
            secrets={
                "FILE": {"file": "key"},
                "COMMAND": {"command": "printf from-; echo command"},
                "ENV": {"env": "OPERATORS_OWN"},
            },
        ),
        tmp_path,
    )
    assert {name: (v.value.reveal(), v.source, v.secret) for name, v in found.items()} == {
        "COMMAND": ("from-command", "secret command", True),
        "DOTENV": ("from-dotenv", "dotenv file .env", True),
        "ENV": ("from-env", "secret env OPERATORS_OWN", True),
        "FILE": ("from-file", "secret file key", True),
        "PLAIN": ("from-settings", "settings", False),
    }
    assert list(found) == sorted(found)
    assert "from-file" not in repr(found)


def test_a_dotenv_file_is_taken_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# comment\nexport A='single $HOME #'\nB=\"two\\nlines\"\nC=${A}-$B\nD=\n"
        'E=plain # comment\nF="in\nside"\nA=last\n'
    )
    found = environment(settings(env_file=".env"), tmp_path)
    assert {name: v.value.reveal() for name, v in found.items()} == {
        "A": "last",
        "B": "two\nlines",
        "C": "${A}-$B",
        "D": "",
        "E": "plain",
        "F": "in\nside",
    }


def test_a_dotenv_file_with_mistakes_names_lines_only(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        f"GOOD=1\nBAD='{HIDDEN}\nNAKED\nA-B=1\nGUNICORN_CMD_ARGS={HIDDEN}\n"
    )
    error = refused(environment, settings(env_file=".env"), tmp_path)
    assert error.slug == "settings"
    assert error.detail.splitlines() == [
        ".env:2: expected NAME=VALUE",
        ".env:3: expected NAME=VALUE",
        ".env:4: expected a name of letters, digits and `_`",
        ".env:5: GUNICORN_CMD_ARGS is reserved",
    ]


def test_a_dotenv_file_that_is_not_there(tmp_path: Path) -> None:
    error = refused(environment, settings(env_file=".env"), tmp_path)
    assert error.message == f"env_file: {tmp_path}/.env: No such file or directory"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("x", "x"),
        ("x\n", "x"),
        ("x\r\n", "x"),
        ("x\n\n", "x\n"),
        (" x \t", " x \t"),
        ("zwei\nZeilen ü", "zwei\nZeilen ü"),
    ],
)
def test_one_newline_at_the_end_of_a_file_goes(tmp_path: Path, written: str, value: str) -> None:
    (tmp_path / "key").write_bytes(written.encode())
    assert resolve_secret(Secret(file="key"), tmp_path).reveal() == value
    assert resolve_secret(Secret(file=str(tmp_path / "key")), Path("/")).reveal() == value


def test_a_command_runs_in_a_shell_in_the_project(tmp_path: Path) -> None:
    secret = Secret(command='test -z "$(cat)" && pwd -P | tr -d "\\n"; echo " $((1 + 1))"')
    assert resolve_secret(secret, tmp_path).reveal() == f"{tmp_path.resolve()} 2"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (Secret(file="missing"), "/missing: No such file or directory"),
        (Secret(file="folder"), "/folder: Is a directory"),
        (Secret(file="binary"), "the value is not UTF-8 text"),
        (Secret(file="empty"), "/empty is empty"),
        (Secret(file="blank"), "/blank is empty"),
        (Secret(env="CARTWHEEL_SET_TO_NOTHING"), "the variable CARTWHEEL_SET_TO_NOTHING is empty"),
        (Secret(env="CARTWHEEL_NOT_SET"), "the variable CARTWHEEL_NOT_SET is not set here"),
        (Secret(command=f"echo {HIDDEN}; echo {HIDDEN} >&2; exit 3"), "the command ended with 3"),
        (Secret(command=f"echo {HIDDEN}; kill -9 $$"), "the command was killed by signal 9"),
        (Secret(command="no-such-command-hunter2"), "the command ended with 127"),
        (Secret(command="echo"), "the command printed nothing"),
        (Secret(command="yes"), "the command printed more than 1048576 bytes"),
    ],
)
def test_a_secret_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: Secret, said: str
) -> None:
    monkeypatch.setenv("CARTWHEEL_SET_TO_NOTHING", "")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "blank").write_text(" \r\n")
    (tmp_path / "binary").write_bytes(b"\xff" + HIDDEN.encode())
    error = refused(resolve_secret, secret, tmp_path, "ssh.sudo_password")
    assert error.slug == "secret"
    assert error.message.startswith("ssh.sudo_password: ")
    assert said in error.message


@pytest.mark.parametrize(
    "command", ["echo $$ > pid; exec sleep 60", "echo $$ > pid; exec sleep 60 >&-"]
)
def test_a_command_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(variables, "COMMAND_SECONDS", 0.5)
    started = time.monotonic()
    error = refused(resolve_secret, Secret(command=command), tmp_path)
    assert "did not end" in error.message
    assert time.monotonic() - started < 5
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_all_secrets_that_fail_are_named_and_read_side_by_side(tmp_path: Path) -> None:
    slow = {f"SLOW{n}": {"command": f"sleep 0.5; echo {HIDDEN}; exit {n + 1}"} for n in range(4)}
    started = time.monotonic()
    error = refused(environment, settings(secrets=slow), tmp_path)
    assert time.monotonic() - started < 1.5
    assert error.message == "secrets.SLOW0: the command ended with 1 (and 3 more)"
    assert [line.split(":")[0] for line in error.detail.splitlines()] == [
        f"secrets.{name}" for name in slow
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f"{HIDDEN}\0", "the value holds a NUL byte"),
        (f"{HIDDEN}\x1b", "the value holds the control character 0x1b"),
        (HIDDEN * 20_000, "the value is longer than Linux allows"),
    ],
)
def test_what_no_process_could_be_given_is_refused(tmp_path: Path, value: str, said: str) -> None:
    (tmp_path / "key").write_text(value)
    error = refused(environment, settings(secrets={"KEY": {"file": "key"}}), tmp_path)
    assert error.message == f"KEY (secret file key): {said}"


def test_what_a_secret_comes_from_is_taken_out_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATORS_OWN", HIDDEN)
    secret = Secret(env="OPERATORS_OWN")
    taken = take_from_environment([secret, Secret(env="NOT_SET"), Secret(file="key")])
    assert "OPERATORS_OWN" not in os.environ
    assert HIDDEN not in repr(taken)
    assert resolve_secret(secret, tmp_path, "x", taken).reveal() == HIDDEN
    assert (
        "NOT_SET is not set here"
        in refused(lambda: resolve_secret(Secret(env="NOT_SET"), tmp_path, "x", taken)).message
    )


def test_the_word_says_which_can_be_read(tmp_path: Path) -> None:
    project = new_project(tmp_path / "project", env={"HERE": HIDDEN})
    project.write("key", HIDDEN)
    project.settings(
        '[app]\nname = "shop"\nsource = "app"\n[secrets]\nA = { file = "key" }\n'
        'B = { command = "exit 3" }\nC = { env = "HERE" }\n'
        "D = { command = 'test -z \"$HERE\" && echo not inherited' }\n"
        '[ssh]\nsudo_password = { env = "NOWHERE" }\n'
    )
    done = project.fab("secrets.check", code=1)
    said = {line.split()[0]: line for line in done.out.splitlines()[1:]}
    assert set(said) == {f"secrets.{name}" for name in "ABCD"} | {"ssh.sudo_password"}
    assert said["secrets.A"].split()[1:] == ["secret", "file", "key", "ok"]
    assert said["secrets.B"].endswith("the command ended with 3")
    assert said["secrets.C"].endswith("ok")
    assert said["secrets.D"].endswith("ok"), "no program that we start inherits C's"
    assert said["ssh.sudo_password"].endswith("the variable NOWHERE is not set here")
    assert HIDDEN not in done.text
    assert HIDDEN not in project.fab("config.show").text
