"""Looks over SSH, at servers that hang at each moment of one, and at those that say nonsense."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import paramiko
import pytest

from cartwheel.host.wire.look import PROTOCOL
from cartwheel_monitor import key
from cartwheel_monitor.sessions import LookError, Sessions
from cartwheel_monitor.watch_list import Host

SECONDS = 1.0


class Talking(paramiko.ServerInterface):
    """Lets everybody in who has a key, and answers each command with `answer`; `hangs` says where
    it does not. `asked`: what it was asked, a login as ""."""

    def __init__(self, served: Served, ending: threading.Event) -> None:
        self._served, self._ending = served, ending

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._served.asked.append("")
        if self._served.refuses:
            return paramiko.common.AUTH_FAILED
        return self._wait("login", paramiko.common.AUTH_SUCCESSFUL)

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return self._wait("channel", paramiko.common.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._served.asked.append(command.decode())
        if not self._served.hangs:
            threading.Thread(target=self._answer, args=(channel,), daemon=True).start()
        return bool(self._wait("command", 1))

    def _answer(self, channel: paramiko.Channel) -> None:
        with suppress(OSError, EOFError):
            channel.sendall(self._served.answer.encode())
            channel.shutdown_write()

    def _wait(self, at: str, answer: int) -> int:
        if at == self._served.hangs:
            self._ending.wait(60)
        return answer


@dataclass
class Served:
    """A host that is served here, and how it behaves; `hangs`: at the `greeting`, `login`,
    `channel`, `command` or `answer`."""

    hangs: str = ""
    answer: str = ""
    refuses: bool = False
    host: Host = field(default_factory=Host)
    asked: list[str] = field(default_factory=list)
    opened: list[paramiko.Transport | socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """End all connections."""
        for one in reversed(self.opened):
            one.close()
        self.opened.clear()


def said(**fields: object) -> str:
    """An answer to a look."""
    return json.dumps({"protocol": PROTOCOL, "cursor": "1/2", **fields})


@contextmanager
def server(hangs: str = "", answer: str = "", *, refuses: bool = False) -> Iterator[Served]:
    ending, host_key = threading.Event(), paramiko.ECDSAKey.generate()
    listening = socket.create_server(("127.0.0.1", 0))
    public = f"{host_key.get_name()} {host_key.get_base64()}"
    host = Host("web1", "127.0.0.1", listening.getsockname()[1], (public,), ("shop",))
    served = Served(hangs, answer, refuses, host)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                served.opened.append(connection)
                if hangs != "greeting":
                    transport = paramiko.Transport(connection)
                    served.opened.append(transport)
                    transport.add_server_key(host_key)
                    transport.start_server(event=threading.Event(), server=Talking(served, ending))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        ending.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        served.cut()
        thread.join(10)


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    key.public_line(tmp_path / "key")
    found = Sessions(tmp_path / "key")
    yield found
    found.close()


@pytest.mark.parametrize("at", ["greeting", "login", "channel", "command", "answer"])
def test_a_look_ends_wherever_the_host_hangs(at: str, sessions: Sessions) -> None:
    problems = list[str]()

    def look(host: Host) -> None:
        try:
            sessions.look(host, "", SECONDS)
        except LookError as error:
            problems.append(str(error))

    with server(at) as served:
        looking = threading.Thread(target=look, args=(served.host,), daemon=True)
        looking.start()
        looking.join(30)
        assert problems == [f"no answer within {SECONDS:g} s"]


def test_a_connection_is_kept_and_made_again_when_it_has_died(sessions: Sessions) -> None:
    with server(answer=said()) as served:
        assert sessions.look(served.host, "", 10).cursor == "1/2"
        sessions.look(served.host, "1/2", 10)
        assert served.asked == ["", "state", "since 1/2"]
        served.cut()
        sessions.look(served.host, "1/2", 10)
        assert served.asked[3:] == ["", "since 1/2"]


def test_a_host_that_refuses_is_asked_once(sessions: Sessions) -> None:
    """Each attempt is a failed login in its log."""
    with server(refuses=True) as served:
        with pytest.raises(LookError, match="refuses the monitor's key"):
            sessions.look(served.host, "", 10)
        assert served.asked == [""]


def test_one_of_several_known_keys_is_right(sessions: Sessions) -> None:
    other = paramiko.ECDSAKey.generate()
    line = f"{other.get_name()} {other.get_base64()}"
    with server(answer=said()) as served:
        host = replace(served.host, keys=(*served.host.keys, line))
        sessions.look(host, "", 10)
        sessions.forget(host)
        with pytest.raises(LookError, match="host key has changed"):
            sessions.look(replace(host, keys=(line,)), "", 10)


def test_hosts_of_the_same_name_are_two(sessions: Sessions) -> None:
    """Two projects may each have a `web1`."""
    with server(answer=said(cursor="1/1")) as one, server(answer=said(cursor="1/2")) as other:
        for served, cursor in ((one, "1/1"), (other, "1/2"), (one, "1/1")):
            assert sessions.look(served.host, "", 10).cursor == cursor


@pytest.mark.parametrize(
    "answer",
    [
        said(time=float("inf")),
        said(time=float("-inf")),
        said(time=float("nan")),
        '{"protocol": 1, "time": 1e999}',
        said(load=10**400),
        said(disks=[{"path": "/", "size": 10**400}]),
        said(apps=[{"app": "shop", "until": float("-inf")}]),
        said(apps=[{"app": "shop", "timers": [{"name": "tick", "due": float("-inf")}]}]),
        said(apps=[{"app": "shop", "requests": {"seconds": 20, "count": 10**400}}]),
        said(cursor="\ud800"),
        said(cursor="1/2 3"),
        said(cursor="1/2\n"),
        said(cursor="x" * 4097),
        "nonsense",
        "[" * 100_000,
    ],
)
def test_what_no_host_says_is_no_answer(answer: str, sessions: Sessions) -> None:
    with server(answer=answer) as served, pytest.raises(LookError):
        sessions.look(served.host, "", 10)


def test_what_paramiko_logs_stays_out_of_the_journal() -> None:
    # A process of its own: here pytest and other modules have handlers.
    program = (
        "import logging, cartwheel_monitor.sessions;"
        " logging.getLogger('paramiko.transport').error('no greeting')"
    )
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
