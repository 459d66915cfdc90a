"""Looks over SSH, at servers that hang at each moment of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko
import pytest

from cartwheel_monitor import key
from cartwheel_monitor.sessions import LookError, Sessions
from cartwheel_monitor.watch_list import Host

SECONDS = 1.0


class Hanging(paramiko.ServerInterface):
    """Lets everybody in; answers neither to a channel nor to a command, as `at` says."""

    def __init__(self, at: str, ending: threading.Event) -> None:
        self._at, self._ending = at, ending

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return self._wait("login", paramiko.common.AUTH_SUCCESSFUL)

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return self._wait("channel", paramiko.common.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        return bool(self._wait("command", 1))

    def _wait(self, at: str, answer: int) -> int:
        if at == self._at:
            self._ending.wait(60)
        return answer


@contextmanager
def server(at: str) -> Iterator[Host]:
    """A host that hangs there: `greeting`, `login`, `channel`, `command` or `answer`."""
    ending, host_key = threading.Event(), paramiko.ECDSAKey.generate()
    listening = socket.create_server(("127.0.0.1", 0))
    opened: list[paramiko.Transport | socket.socket] = [listening]

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                opened.append(connection)
                if at != "greeting":
                    transport = paramiko.Transport(connection)
                    opened.append(transport)
                    transport.add_server_key(host_key)
                    transport.start_server(event=threading.Event(), server=Hanging(at, ending))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    public = f"{host_key.get_name()} {host_key.get_base64()}"
    try:
        yield Host("web1", "127.0.0.1", listening.getsockname()[1], (public,), ("shop",))
    finally:
        ending.set()
        listening.shutdown(socket.SHUT_RDWR)
        for one in reversed(opened):
            one.close()
        thread.join(10)


@pytest.mark.parametrize("at", ["greeting", "login", "channel", "command", "answer"])
def test_a_look_ends_wherever_the_host_hangs(at: str, tmp_path: Path) -> None:
    key.public_line(tmp_path / "key")
    sessions, problems = Sessions(tmp_path / "key"), list[str]()

    def look(host: Host) -> None:
        try:
            sessions.look(host, "", SECONDS)
        except LookError as error:
            problems.append(str(error))

    with server(at) as host:
        looking = threading.Thread(target=look, args=(host,), daemon=True)
        looking.start()
        looking.join(30)
        assert problems == [f"no answer within {SECONDS:g} s"]
    sessions.close()


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
