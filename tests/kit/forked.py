"""`fab` in a process that is forked from one which has imported everything already.

A fresh interpreter spends half a second of a processor on imports, and tests run `fab` a thousand
times. What a forked one does is the same: its arguments, folder, environment and streams are its
own, and it ends by its own exit code. How `fab` itself starts is tested by real starts
(tests/unit/fab, tests/lab/test_interrupt.py, and all that use `Project.command`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

_FDS = 3
_LENGTH = struct.Struct("!Q")


class Forking:
    """The process with the imports, and those that it has forked."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._socket = ours
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.forked", str(theirs.fileno())],
            cwd=Path(__file__).parents[2],
            env={"PATH": os.environ["PATH"]},  # nothing of the test that happens to be the first
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    def run(
        self,
        argv: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        given: str,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """As subprocess.run with captured output. Raises subprocess.TimeoutExpired."""
        with TemporaryFile() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
            stdin.write(given.encode())
            stdin.seek(0)
            asked = json.dumps({"argv": list(argv), "cwd": str(cwd), "env": dict(env)}).encode()
            talk, theirs = socket.socketpair()
            with talk:
                with self._lock, theirs:
                    fds = [one.fileno() for one in (stdin, stdout, stderr)]
                    socket.send_fds(self._socket, [b"."], [*fds, theirs.fileno()])
                talk.sendall(_LENGTH.pack(len(asked)) + asked)
                pid = int(_line(talk) or "0")
                talk.settimeout(timeout)
                try:
                    code = int(_line(talk) or "-1")
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(list(argv), timeout) from None
            return subprocess.CompletedProcess(list(argv), code, _text(stdout), _text(stderr))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


def _line(talk: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"\n"):
        part = talk.recv(1)
        if not part:
            return b""
        found += part
    return found


# The process with the imports


def _import_all() -> None:
    """What tasks import while they run."""
    import importlib
    import pkgutil

    sys.path.insert(0, str(Path(__file__).parents[2] / "lab"))  # as a clone's fabfile does
    import cartwheel
    import tasks

    for package in (cartwheel, tasks):
        for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not one.name.startswith("cartwheel.host") or ".wire" in one.name:
                importlib.import_module(one.name)


def _serve(asking: socket.socket) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        sign, fds, _flags, _address = socket.recv_fds(asking, 1, _FDS + 1)
        if not sign:
            return
        talk = socket.socket(fileno=fds[_FDS])
        if os.fork() == 0:
            asking.close()
            _supervise(talk, fds[:_FDS])
        talk.close()
        for fd in fds[:_FDS]:
            os.close(fd)
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _supervise(talk: socket.socket, fds: Sequence[int]) -> None:
    """In a process of its own: start `fab` in another one, and say how that ended."""
    (length,) = _LENGTH.unpack(_exactly(talk, _LENGTH.size))
    asked = json.loads(_exactly(talk, length))
    child = os.fork()
    if child == 0:
        _become(asked, talk, fds)
    talk.sendall(f"{child}\n".encode())
    _pid, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    talk.sendall(f"{code}\n".encode())
    os._exit(0)


def _exactly(talk: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        found += talk.recv(count - len(found))
    return found


def _become(asked: dict[str, object], talk: socket.socket, fds: Sequence[int]) -> None:
    """Be `fab`, as its console script is."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for place, fd in enumerate(fds):
            os.dup2(fd, place)
        talk.close()
        os.closerange(_FDS, 64)
        argv, env = asked["argv"], asked["env"]
        assert isinstance(argv, list) and isinstance(env, dict)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(str(asked["cwd"]))
        sys.argv = argv
        sys.path[0] = str(Path(argv[0]).parent)
        from fabric.main import program

        program.run()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1 if error.code else 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    _import_all()
    _serve(socket.socket(fileno=int(sys.argv[1])))
