"""The shell of a page's story: a bash whose folder and variables last from block to block."""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

SECONDS = 300.0
HOME = "/home/you"  # what pages show for the story's home
_END = re.compile(rb"\x1e(\d+) (.*)\x1e\n\Z", re.DOTALL)


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code, and what it printed."""

    code: int
    lines: list[str]


class Shell:
    """A bash in a session of its own; `close` ends it with all that it started."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], begin: str, home: Path
    ) -> None:
        self.folder, self.home = folder, home
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if self._bash.stdin is None or self._bash.stdout is None:
            raise ValueError("both are pipes")
        self._in, self._out = self._bash.stdin, self._bash.stdout
        self.run(f"trap : INT\n{begin}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, command: str, interrupt: Callable[[list[str]], bool] | None = None) -> Done:
        """Run a command without input. `interrupt` says by what it printed so far whether Ctrl-C
        is typed now. Raises TimeoutError after SECONDS."""
        quoted = shlex.quote(command)
        text = f'eval {quoted} </dev/null\nprintf \'\\x1e%d %s\\x1e\\n\' "$?" "$PWD"\n'
        self._in.write(text.encode())
        self._in.flush()
        data, found = self._read(interrupt)
        self.folder = Path(found[2].decode())
        printed = data[: found.start()].decode(errors="replace")
        return Done(int(found[1]), printed.replace(str(self.home), HOME).splitlines())

    def typed(self, command: str, shown: list[str], answers: Path) -> Done:
        """Run a command on a terminal, and type what stands behind its prompts in `shown`."""
        answers.write_text("\n".join(shown))
        program = [sys.executable, "-m", "book.typist", str(answers), command]
        return self.run(shlex.join(program))

    def _read(self, interrupt: Callable[[list[str]], bool] | None) -> tuple[bytes, re.Match[bytes]]:
        data, until = b"", time.monotonic() + SECONDS
        while not (found := _END.search(data)):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._out], [], [], left)[0]:
                raise TimeoutError(data.decode(errors="replace"))
            more = os.read(self._out.fileno(), 65536)
            if not more:
                raise EOFError(data.decode(errors="replace"))
            data += more
            if interrupt and interrupt(data.decode(errors="replace").splitlines()):
                interrupt = None
                os.killpg(self._bash.pid, signal.SIGINT)
        return data, found

    def close(self) -> None:
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()
