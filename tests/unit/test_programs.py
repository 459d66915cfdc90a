"""Every program that is started here has a deadline and outlives nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cartwheel import programs
from cartwheel.background import Background, side_by_side
from cartwheel.errors import Exit
from tests.kit.marked import MARK, alive
from tests.kit.project import CHECKOUT, Project, new_project
from tests.kit.waiting import until

SLEEPS = "touch begun; sleep 300 & sleep 300"
APP = '[app]\nname = "shop"\nsource = "app"\nentry = "app:app"\n[tests]\nskip = true\n'
HOST = (
    '[inventory.hosts.web1]\naddress = "192.0.2.1"\n[inventory.hosts.web2]\naddress = "192.0.2.2"\n'
)


def shell(command: str, folder: Path, seconds: float = 20, **more: Any) -> programs.Ended:
    return programs.run(
        ["sh", "-c", command], env=os.environ, cwd=folder, deadline_seconds=seconds, **more
    )


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """In the environment of all that the test starts; nothing of it may be left."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    yield mark
    left = alive(mark)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_output_and_errors_are_apart(tmp_path: Path) -> None:
    lines: list[str] = []
    command = "echo one; echo two >&2; printf three; exit 3"
    ended = shell(command, tmp_path, on_line=lines.append)
    assert ended == programs.Ended(3, b"one\nthree", b"two\n")
    assert (ended.how, sorted(lines)) == ("ended with 3", ["one", "three", "two"])
    assert shell(command, tmp_path, errors="dropped") == programs.Ended(3, b"one\nthree", b"")
    assert shell(command, tmp_path, errors="with-output").output == b"one\ntwo\nthree"
    assert shell("kill -9 $$", tmp_path).how == "was killed by signal 9"


def test_it_has_no_input_and_no_terminal(tmp_path: Path) -> None:
    assert shell('test -z "$(cat)"; cat /dev/tty', tmp_path).status != 0


@pytest.mark.parametrize("closes", ["", " >&- 2>&-"])
def test_a_deadline_ends_it_with_all_it_started(tmp_path: Path, mark: str, closes: str) -> None:
    with pytest.raises(programs.LateError) as caught:
        shell(f"echo said; exec{closes}; {SLEEPS}", tmp_path, 0.5)
    assert caught.value.ended.output == b"said\n"
    assert not alive(mark)


def test_what_ignores_sigterm_is_killed_and_what_listens_has_time(
    tmp_path: Path, mark: str
) -> None:
    stubborn = "(trap '' TERM; while :; do sleep 0.1; done) &"
    polite = "(trap 'sleep 0.5; touch tidied; exit' TERM; while :; do sleep 0.1; done) &"
    with pytest.raises(programs.LateError):
        shell(f"{stubborn} {polite} sleep 300", tmp_path, 0.5)
    assert (tmp_path / "tidied").exists(), "a grandchild could tidy up"
    assert not alive(mark)


def test_who_holds_its_output_keeps_nobody_waiting(tmp_path: Path, mark: str) -> None:
    """It ended well; what it left in its group ends, what has a session of its own lives on."""
    began = time.monotonic()
    assert shell("sleep 300 & setsid sleep 3 & echo done", tmp_path).output == b"done\n"
    assert time.monotonic() - began < 3
    assert [line.split() for line in alive(mark).values()] == [["sleep", "3"]]
    until(lambda: not alive(mark))


def test_its_end_wakes_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    """Whether its output is held open or it has closed it: nobody waits for the next look."""
    monkeypatch.setattr(programs, "_SLICE_SECONDS", 3600.0)
    monkeypatch.setattr(subprocess.Popen, "wait", None)
    assert shell("exec >&- 2>&-; sleep 0.1; exit 3", tmp_path).status == 3
    assert shell("setsid sleep 300 & sleep 0.1; exit 3", tmp_path).status == 3
    (holder,) = alive(mark)
    os.kill(holder, signal.SIGKILL)
    until(lambda: not alive(mark))


def test_it_ends_where_there_is_no_pidfd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    """As on macOS."""
    monkeypatch.delattr(os, "pidfd_open")
    command = "setsid sleep 1 & echo said; exec{}; sleep 0.1; exit 3"
    for closes in ("", " >&- 2>&-"):
        ended = shell(command.format(closes), tmp_path)
        assert (ended.status, ended.output) == (3, b"said\n")
    with pytest.raises(programs.LateError):
        shell(SLEEPS, tmp_path, 0.5)
    until(lambda: not alive(mark))


def test_too_much_ends_it(tmp_path: Path, mark: str) -> None:
    with pytest.raises(programs.TooMuchError):
        shell("yes", tmp_path, most_bytes=1000)
    assert not alive(mark)


def test_what_cannot_be_started_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        programs.run(["/no/such"], env={}, cwd=tmp_path, deadline_seconds=5)


def test_a_failure_beside_it_ends_it(tmp_path: Path, mark: str) -> None:
    with pytest.raises(ZeroDivisionError), Background(lambda: shell(SLEEPS, tmp_path)):
        until((tmp_path / "begun").exists)
        raise ZeroDivisionError
    assert not alive(mark)


def test_the_first_failure_side_by_side_ends_the_others(tmp_path: Path, mark: str) -> None:
    def work(number: int) -> programs.Ended:
        if number:
            return shell(SLEEPS, tmp_path)
        until((tmp_path / "begun").exists)
        raise ZeroDivisionError

    def both() -> None:
        with pytest.raises(ZeroDivisionError):
            side_by_side(work, range(3), 3)

    both()
    with Background(both) as running:  # also deeper down
        running.result()
    assert not alive(mark)


def test_leaving_reaches_what_runs_deeper_down(tmp_path: Path, mark: str) -> None:
    def work(number: int) -> programs.Ended:
        return shell(SLEEPS.replace("begun", f"begun{number}"), tmp_path)

    with Background(lambda: side_by_side(work, range(2), 2)):
        until(lambda: (tmp_path / "begun0").exists() and (tmp_path / "begun1").exists())
    assert not alive(mark)


def test_none_is_left_to_who_cannot_wait(tmp_path: Path, mark: str) -> None:
    thread = threading.Thread(target=shell, args=(SLEEPS, tmp_path))
    thread.start()
    until((tmp_path / "begun").exists)
    programs.kill_running()
    thread.join(10)
    assert not alive(mark)


def test_there_is_one_way_to_start_a_program() -> None:
    """On the operator's side; the host has its own machine. A ProxyCommand is a connection."""
    others = {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / "cartwheel").rglob("*.py")
        if path.parts[len(CHECKOUT.parts) + 1] != "host" and "subprocess." in path.read_text()
    }
    assert others == {"cartwheel/programs.py", "cartwheel/ssh/proxy.py"}


# -- of whole runs


@contextmanager
def fab(project: Project, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        project.command(*words),
        cwd=project.folder,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


COMMANDS = {
    "secret": (
        f"{APP}[secrets]\nA = {{ command = '{SLEEPS}' }}\nB = {{ command = '{SLEEPS}' }}\n",
        "secrets.check",
    ),
    "inventory": (f"{APP}[inventory]\ncommand = 'sh -c \"{SLEEPS}\"'\n", "inventory"),
    "balancer": (
        f"{APP}{HOST}[balancer]\nkind = 'command'\n"
        f"command = '[ $CARTWHEEL_ACTION = back ] || {{ {SLEEPS}; }}'\n",
        "balancer.out -H web1",
    ),
    "hook": (
        f"{APP}{HOST}[hooks.dump]\nbefore = 'run'\ncommand = '{SLEEPS}'\n",
        "deploy -H web1",
    ),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kind", COMMANDS)
def test_a_run_that_is_stopped_leaves_none_of_the_users_commands(
    tmp_path: Path, mark: str, kind: str, number: signal.Signals
) -> None:
    text, words = COMMANDS[kind]
    project = new_project(tmp_path)
    project.settings(text)
    with fab(project, *words.split()) as process:
        until((tmp_path / "begun").exists)
        process.send_signal(number)
        output, _ = process.communicate(timeout=10)
        assert process.returncode == Exit.INTERRUPTED, output
        assert b"Traceback" not in output
    assert not alive(mark)


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_run_that_is_left_at_once_leaves_none(tmp_path: Path, mark: str, kind: str) -> None:
    """The second Ctrl-C waits for nobody."""
    text, words = COMMANDS[kind]
    project = new_project(tmp_path)
    project.settings(
        text.replace(
            SLEEPS, f'trap "" TERM; {SLEEPS}'.replace('"', "" if kind == "inventory" else '"')
        )
    )
    with fab(project, *words.split()) as process:
        until((tmp_path / "begun").exists)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert process.returncode == Exit.INTERRUPTED
    until(lambda: not alive(mark), 2)


def test_a_secret_that_fails_ends_what_it_started(tmp_path: Path, mark: str) -> None:
    project = new_project(tmp_path)
    project.settings(f"{APP}[secrets]\nA = {{ command = 'sleep 300 & exit 3' }}\n")
    began = time.monotonic()
    assert "the command ended with 3" in project.fab("secrets.check", code=1).text
    assert time.monotonic() - began < 10
    assert not alive(mark)
