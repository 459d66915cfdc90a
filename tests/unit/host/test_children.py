"""Programs on the host: deadlines, whole process groups, output, users."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.system import children, context
from cartwheel.host.system.context import ContactLost, OpError
from tests.kit.tiers import only_root
from tests.kit.waiting import is_alive, until
from tests.unit.hostside import Session


def sh(script: str, seconds: float = 10.0, **more: Any) -> children.Done:
    return children.run(None, ["sh", "-c", script], timeout_seconds=seconds, **more)


def pid_in(path: Path) -> int:
    return int(until(lambda: path.exists() and path.read_text().strip()))


def test_status_and_output_of_both_streams() -> None:
    assert sh("echo out; echo err >&2; exit 3") == children.Done(3, "out\nerr")
    assert sh("kill -KILL $$").status == -signal.SIGKILL


def test_the_environment_is_known_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_LOGIN", "x")
    names = {line.partition("=")[0] for line in sh("env", env={"MINE": "1"}).output.splitlines()}
    assert names - {"PWD", "SHLVL", "_"} == {"PATH", "LANG", "LC_ALL", "MINE"}


def test_an_answer_is_the_output_alone_and_whole() -> None:
    script = "echo out; echo err >&2; seq 1000; exit 3"
    answer = children.ask(["sh", "-c", script], timeout_seconds=10)
    assert answer.output.splitlines() == ["out", *map(str, range(1, 1001))]
    assert (answer.status, answer.errors) == (3, "err")
    heard: list[str] = []
    children.ask(["sh", "-c", "echo a; echo b >&2"], timeout_seconds=10, on_line=heard.append)
    assert heard == ["a"]
    with pytest.raises(OpError, match="did not end in time"):
        children.ask(["sleep", "60"], timeout_seconds=0.3)
    with pytest.raises(OpError, match="is not on this host"):
        children.ask(["/no/such"], timeout_seconds=1)


def test_a_deadline_kills_grandchildren_that_ignore_sigterm(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    grandchild = f"sh -c 'trap \"\" TERM; echo $$ >{pid}; sleep 60; sleep 60'"
    script = f"echo begun; (trap '' TERM; echo $$ >/dev/null; {grandchild}); wait"
    started = time.monotonic()
    with pytest.raises(OpError) as caught:
        sh(script, seconds=0.5)
    assert caught.value.slug == "deadline"
    assert caught.value.message == "sh did not end in time"
    assert caught.value.log == "begun"
    assert time.monotonic() - started < 6
    until(lambda: not is_alive(pid_in(pid)))


def test_lost_contact_kills_the_group(tmp_path: Path) -> None:
    session, pid = Session(), tmp_path / "pid"
    threading.Timer(0.3, session.lost.set).start()
    argv = ["sh", "-c", f"sh -c 'echo $$ >{pid}; sleep 60' & wait"]
    with pytest.raises(ContactLost):
        children.run(session.ctx(), argv, timeout_seconds=30)
    until(lambda: not is_alive(pid_in(pid)))


def no_pidfd(_pid: int, _flags: int = 0) -> int:
    raise OSError(errno.ENOSYS, "a kernel before 5.3")


def test_a_programs_end_wakes_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is ended: by the kernel, not at the next look."""
    monkeypatch.setattr(children, "_POLL_SECONDS", 3600.0)
    monkeypatch.setattr(subprocess.Popen, "wait", None)
    assert sh("sleep 0.1; echo done") == children.Done(0, "done")
    assert children.ask(["sh", "-c", "sleep 0.1; exit 3"], timeout_seconds=10).status == 3


def test_a_kernel_without_pidfds_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pidfd_open", no_pidfd)
    assert sh("sleep 0.3; echo done; exit 3") == children.Done(3, "done")
    with pytest.raises(OpError, match="did not end in time"):
        sh("trap '' TERM; sleep 60; sleep 60", seconds=0.3)


def test_the_requests_deadline_counts_too() -> None:
    with pytest.raises(OpError) as caught:
        children.run(Session().ctx(0.3), ["sleep", "60"], timeout_seconds=30)
    assert caught.value.slug == "deadline"


def test_only_the_last_lines_are_kept_and_every_line_is_told() -> None:
    seen: list[str] = []
    done = sh("seq 1 20000", on_line=seen.append)
    assert len(seen) == 20000
    assert done.output.splitlines() == seen[-200:]


def test_huge_output_without_a_line_end_is_not_kept_whole() -> None:
    argv = [sys.executable, "-c", "import sys; sys.stdout.write('x' * (64 << 20))"]
    done = children.run(None, argv, timeout_seconds=30)
    assert done.status == 0
    assert 0 < len(done.output) < 32 << 20


def test_output_that_is_no_text() -> None:
    assert sh(r"printf 'a\377b\r\n\000c'").output == "a�b\n\0c"


def test_progress_says_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "NEWS_SECONDS", 0.1)
    session = Session()
    argv = ["sh", "-c", "echo working; sleep 0.7"]
    children.run(session.ctx(), argv, timeout_seconds=10, step="install")
    assert session.events
    assert {(e["step"], e["state"], e["detail"]) for e in session.events} == {
        ("install", "progress", "working")
    }


def test_stdin_arrives_and_ends() -> None:
    assert sh("cat", stdin=b"one\ntwo").output == "one\ntwo"
    assert sh("cat").output == "", "without stdin there is nothing to wait for"
    assert sh("exit 0", stdin=b"x" * (1 << 20)).status == 0, "nobody reads it"


def test_a_child_that_never_reads_its_input_meets_the_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(OpError) as caught:
        sh("sleep 60", seconds=0.5, stdin=b"x" * (1 << 20))
    assert caught.value.slug == "deadline"
    assert time.monotonic() - started < 5


def test_a_grandchild_that_keeps_the_output_open_does_not_hold_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_KILL_SECONDS", 0.5)
    pid = tmp_path / "pid"
    started = time.monotonic()
    done = sh(f"echo done; sleep 60 & echo $! >{pid}")
    try:
        assert done == children.Done(0, "done")
        assert time.monotonic() - started < 3
    finally:
        os.kill(pid_in(pid), signal.SIGKILL)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    for argv, cwd, message in (
        (["no-such-program"], None, "no-such-program is not on this host"),
        (["true"], str(tmp_path / "gone"), f"{tmp_path / 'gone'} is not on this host"),
    ):
        with pytest.raises(OpError) as caught:
            children.run(None, argv, timeout_seconds=5, cwd=cwd)
        assert (caught.value.slug, caught.value.message) == ("missing-program", message)


def test_what_may_not_be_executed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gunicorn"
    path.write_text("#!/bin/sh\n")
    with pytest.raises(OpError) as caught:
        children.run(None, [str(path)], timeout_seconds=5)
    assert caught.value.slug == "missing-program"
    assert str(path) in caught.value.message


def test_a_user_that_is_gone_is_named() -> None:
    with pytest.raises(OpError) as caught:
        sh("true", user="no-such-user")
    assert caught.value.slug == "not-set-up"
    assert "no-such-user" in caught.value.message


def test_own_user_needs_no_right() -> None:
    assert sh("id -u", user=pwd.getpwuid(os.geteuid()).pw_name).output == str(os.geteuid())


@only_root("becomes another user (setuid(2))")
def test_becoming_another_user_drops_every_right(tmp_path: Path) -> None:
    entry = pwd.getpwnam("nobody")
    done = sh("id -u; id -g; id -G; umask; grep CapEff /proc/self/status", user="nobody")
    uid, gid, groups, umask, capabilities = done.output.splitlines()
    assert (int(uid), int(gid)) == (entry.pw_uid, entry.pw_gid)
    assert [int(one) for one in groups.split()] == os.getgrouplist("nobody", entry.pw_gid)
    assert umask == "0022"
    assert int(capabilities.split()[1], 16) == 0
    assert sh(f"echo x >{tmp_path}/file", user="nobody").status != 0


def test_umask_and_folder(tmp_path: Path) -> None:
    assert sh("umask; pwd", umask=0o027, cwd=str(tmp_path)).output == f"0027\n{tmp_path}"


def test_check_raises_with_the_output() -> None:
    with pytest.raises(OpError) as caught:
        children.check(None, ["sh", "-c", "echo why; exit 1"], "systemd", "it failed")
    error = caught.value
    assert (error.slug, error.message, error.log) == ("systemd", "it failed", "why")
    children.check(None, ["echo", "fine"], "systemd", "it failed")


def test_children_leave_no_zombies_and_no_descriptors() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        sh("echo x", stdin=b"y")
    until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)
