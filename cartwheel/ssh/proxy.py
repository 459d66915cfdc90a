"""A ProxyCommand of ssh_config(5) as the line to a host."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
from collections.abc import Iterator

import paramiko

from cartwheel import process_env

_END_SECONDS = 1.0
_READ_BYTES = 4096
_NOT_STARTED = (126, 127)  # exit statuses of POSIX shells


class ProxyError(Exception):
    """The command failed. `is_passing`: another attempt may succeed."""

    def __init__(self, message: str, is_passing: bool) -> None:
        super().__init__(message)
        self.is_passing = is_passing


class Proxy(paramiko.ProxyCommand):
    """Run by the user's shell, which it replaces, as ssh does.

    paramiko's own class does not notice the end of the command (it waits for its time limit), and
    does not show what the command says.
    """

    def __init__(self, command: str) -> None:
        shell = os.environ.get("SHELL") or "/bin/sh"
        self.cmd = [shell, "-c", f"exec {command}"]
        self.timeout: float | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open until the end
        self._has_ended = False
        self.process = subprocess.Popen(
            self.cmd,
            env=process_env.of_user(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )

    def recv(self, size: int) -> bytes:
        """Some bytes, none at the end. Raises TimeoutError."""
        output = self.process.stdout.fileno() if self.process.stdout else -1
        poller = select.poll()  # unlike select(2) for any number of files
        poller.register(output, select.POLLIN)
        if not poller.poll(None if self.timeout is None else self.timeout * 1000):
            raise TimeoutError
        data = os.read(output, size)
        self._has_ended = not data
        return data

    def close(self) -> None:
        if self._has_ended:
            self._wait()  # for its own exit status
        self.process.terminate()

    def failure(self) -> ProxyError:
        """How the command failed: its last line, or how it ended."""
        self._wait()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _READ_BYTES))
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        status = self.process.returncode
        ended = "it did not answer" if status is None else f"it ended with {status}"
        return ProxyError(f"{said or ended} (`{self.cmd[2]}`)", status not in _NOT_STARTED)

    def _wait(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)


@contextlib.contextmanager
def explained(line: object) -> Iterator[None]:
    """If `line` is a Proxy, its failures say what the command said. Raises ProxyError."""
    try:
        yield
    except (paramiko.SSHException, EOFError, OSError) as error:
        if not isinstance(line, Proxy):
            raise
        raise line.failure() from error
