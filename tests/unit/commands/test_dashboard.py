"""`fab dashboard` here: what keeps it from starting, and that nothing of it stays. Its hosts cannot
be reached (tests/lab/test_dashboard.py has real ones)."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.commands.dashboard import refuse_missing
from cartwheel.commands.looking import Looking
from cartwheel.errors import CartwheelError, ConnectError, Exit, HostError, UsageError
from cartwheel.host.wire.look import AskLook, HostLook
from tests.kit.dashboards import dashboard
from tests.kit.marked import MARK, alive
from tests.kit.project import Project, new_project
from tests.kit.waiting import until

SETTINGS = """
[app]
name = "shop"
source = "app"
[tests]
skip = true
[web]
listen = 8099
[inventory.hosts.web1]
address = "127.0.0.1:1"
[inventory.hosts.lb1]
address = "127.0.0.1:2"
roles = ["balancer"]
[inventory.hosts.mon1]
address = "127.0.0.1:3"
roles = ["monitor"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Nothing of what it starts may be left."""
    mark = uuid.uuid4().hex
    made = new_project(tmp_path, env={MARK: mark})
    made.settings(SETTINGS)
    yield made
    until(lambda: not alive(mark), 15, shown=lambda: alive(mark))


def folder(project: Project) -> Path:
    return project.folder / "state" / "cartwheel" / "dashboard" / "shop"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


def test_the_page_says_why_a_host_is_not_seen(project: Project) -> None:
    with dashboard(project) as page:
        let_in = page.ask(f"/?token={page.token}")
        assert (let_in.status, page.ask("/").status) == (302, 403)
        until(lambda: "port 1: connection refused" in page.row("web1"), 40)
        text = page.page()
        assert "lb1" in text
        assert "mon1" not in text, "it is no host of the app"
        listed = json.loads((folder(project) / "watch.d/shop.json").read_text())
        (site,) = listed["sites"]
        assert (site["url"], site["hosts"]) == ("http://127.0.0.1:8099/healthz", ["web1"])
        assert (listed["messengers"], listed["heartbeat"]) == ({}, "")


def test_a_host_that_is_only_named_is_asked_as_well(project: Project) -> None:
    """As a deploy sees it: it has no role, and so that of the app."""
    with dashboard(project, "-H", "127.0.0.1:4"):
        (site,) = json.loads((folder(project) / "watch.d/shop.json").read_text())["sites"]
        assert site["hosts"] == ["127.0.0.1:4"]


def test_only_its_owner_can_read_it_and_nobody_its_token(project: Project) -> None:
    with dashboard(project) as page:
        until((folder(project) / "shared/status.json").exists)
        for path in (folder(project), *folder(project).rglob("*")):
            if path.is_dir():
                assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
            else:
                assert page.token.encode() not in path.read_bytes(), path
        ours = alive(project.env[MARK]).values()
        assert len(ours) == 4, "fab, the watcher, gunicorn and its worker"
        assert not any(page.token in line for line in ours), "all users see command lines"


def test_a_browser_is_shown_a_file_and_the_file_ends_with_it(
    project: Project, tmp_path: Path
) -> None:
    """The command line of a browser is no secret."""
    browser = project.write(
        "browser", '#!/bin/sh\necho "$1" >"$0.was"; cat "${1#file://}" >"$0.saw"\n'
    )
    browser.chmod(0o755)
    own = replace(project, env={**project.env, "BROWSER": f"{browser} %s"})
    with dashboard(own, "--open") as page:
        until((tmp_path / "browser.saw").exists)
        until(lambda: page.token in (tmp_path / "browser.saw").read_text())
        shown = (tmp_path / "browser.was").read_text().strip()
        assert shown == (folder(project) / "open.html").as_uri()
        assert stat.S_IMODE((folder(project) / "open.html").stat().st_mode) == 0o600
        page.process.send_signal(signal.SIGINT)
        assert page.process.wait(10) == Exit.INTERRUPTED
    assert not (folder(project) / "open.html").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_ends_in_order(project: Project, number: signal.Signals) -> None:
    history = folder(project) / "shared/projects/shop/monitor.sqlite"
    with dashboard(project) as page:
        until(history.exists, 20)
        page.process.send_signal(number)
        output, _ = page.process.communicate(timeout=10)
        assert page.process.returncode == Exit.INTERRUPTED
        assert "Traceback" not in output
        assert not alive(project.env[MARK])
    with socket.create_server(("127.0.0.1", page.port)):
        pass  # the port is free again
    assert history.exists(), "its history stays"


def test_killed_it_takes_all_with_it_and_can_be_started_again(project: Project) -> None:
    with dashboard(project) as page:
        assert len(alive(project.env[MARK])) == 4
        page.process.kill()
        page.process.wait(10)
        with dashboard(project) as again:
            again.process.send_signal(signal.SIGINT)
            assert again.process.wait(10) == Exit.INTERRUPTED
    until(lambda: not alive(project.env[MARK]), 10, shown=lambda: alive(project.env[MARK]))


@pytest.mark.parametrize(
    ("name", "word"), [("the watcher", "--by-pipe"), ("the page's server", "gunicorn")]
)
def test_a_part_that_ends_ends_it(project: Project, name: str, word: str) -> None:
    with dashboard(project) as page:
        ours = alive(project.env[MARK])
        os.kill(min(pid for pid, line in ours.items() if word in line), signal.SIGKILL)
        output, _ = page.process.communicate(timeout=15)
    assert page.process.returncode == Exit.FAILED
    assert f"{name} was killed by signal 9 [CW911]" in output
    assert f"Its log: {folder(project)}/log" in output


def test_a_second_one_is_refused(project: Project) -> None:
    with dashboard(project):
        done = project.fab("dashboard", code=1)
        assert "another `fab dashboard` of shop runs on this machine [CW911]" in done.err


def test_a_port_in_use_is_one_line(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        done = project.fab("dashboard", "--port", str(port), code=1)
    assert f"port {port} of 127.0.0.1 is in use [CW911]" in done.err
    assert "--port" in done.err
    assert project.fab("dashboard", "--port", "65536", code=2).err.count("[CW") == 1


def test_a_port_of_ones_own_and_json(project: Project) -> None:
    port = free_port()
    with dashboard(project, "--port", str(port), "--json") as page:
        assert page.port == port
        page.process.send_signal(signal.SIGINT)
        output, _ = page.process.communicate(timeout=10)
    [result] = [one for one in output.splitlines() if '"type": "result"' in one]
    assert page.token not in result


def test_a_state_that_cannot_be_written(project: Project) -> None:
    project.write("state/cartwheel/dashboard", "a file is in the way")
    done = project.fab("dashboard", code=1)
    assert re.search(r"state/cartwheel/dashboard\S* cannot be written: .* \[CW911\]", done.err)


def test_without_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "gunicorn" else there(name)
    )
    with pytest.raises(UsageError, match="a dashboard needs gunicorn, which") as refused:
        refuse_missing()
    assert refused.value.slug == "dashboard-missing"


class Sessions:
    """Opens stand-ins for sessions, which give these answers in turn; "" is a good one."""

    def __init__(self, *script: str | CartwheelError) -> None:
        self.script = list(script)
        self.opened = self.closed = 0

    def open(self, _host: str) -> Any:
        self.opened += 1
        return self

    def request(self, asked: AskLook, *, deadline_seconds: float) -> HostLook:
        found = self.script.pop(0)
        if isinstance(found, CartwheelError):
            raise found
        return HostLook(cursor=asked.cursor)

    def close(self, seconds: float) -> None:
        self.closed += 1


LOST, SAID = ConnectError("ssh-lost", "the line"), HostError("host-side", "no systemd")


def test_a_session_that_was_lost_is_no_trouble_of_the_host() -> None:
    sessions = Sessions("", LOST, "")
    looking = Looking("web1", sessions.open)
    assert [looking.look("a"), looking.look("b")] == [HostLook(cursor="a"), HostLook(cursor="b")]
    assert (sessions.opened, sessions.closed) == (2, 1)


def test_a_host_that_is_away_is_not_tried_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(LOST, "")
    looking = Looking("web1", sessions.open)
    assert [looking.look(""), looking.look("")] == [LOST, LOST]
    assert sessions.opened == 1
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 11)
    assert looking.look("") == HostLook()


def test_what_the_host_itself_says_keeps_the_session() -> None:
    sessions = Sessions(SAID, SAID, "")
    looking = Looking("web1", sessions.open)
    assert [looking.look(""), looking.look(""), looking.look("")] == [SAID, SAID, HostLook()]
    assert sessions.opened == 1


def test_a_look_that_never_ended_costs_its_session() -> None:
    """The session has given up, and gives the same failure to all that follow."""
    sessions = Sessions("", CartwheelError("deadline", "look did not end"), "")
    looking = Looking("web1", sessions.open)
    looking.look("")
    assert looking.look("") == HostLook()
    assert sessions.opened == 2
