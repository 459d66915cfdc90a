"""`fab` on a terminal: what a person sees and types."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import pyte

from tests.kit.project import Project

SECONDS = 120.0


@dataclass
class Terminal:
    """`fab` on a pseudo-terminal, with a terminal emulator that shows what a person sees."""

    process: subprocess.Popen[bytes]
    parent: int
    emulator: pyte.Screen
    raw: bytearray = field(default_factory=bytearray)
    seen: list[list[str]] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        self._stream = pyte.ByteStream(self.emulator)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.parent, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.emulator.resize(rows, columns)

    def type(self, text: str) -> None:
        os.write(self.parent, text.encode())

    @property
    def screen(self) -> list[str]:
        return [line.rstrip() for line in self.emulator.display if line.strip()]

    def until(self, true: Callable[[Self], object]) -> None:
        """Read until `true` returns something true; otherwise fail and show the screen."""
        deadline = time.monotonic() + SECONDS
        while not true(self):
            assert not self.ended, "it ended before:\n" + "\n".join(self.screen)
            assert time.monotonic() < deadline, "not in time:\n" + "\n".join(self.screen)
            self._read()

    def shows(self, text: str) -> None:
        self.until(lambda one: any(text in line for line in one.screen))

    def end(self) -> int:
        """Read until `fab` ends; returns its exit code."""
        deadline = time.monotonic() + SECONDS
        while not self.ended:
            assert time.monotonic() < deadline, "no end:\n" + "\n".join(self.screen)
            self._read()
        return self.process.wait(10)

    def _read(self) -> None:
        if not select.select([self.parent], [], [], 0.2)[0]:
            return
        try:
            data = os.read(self.parent, 65536)
        except OSError:  # Linux: the other side is closed
            data = b""
        self.ended = not data
        self.raw += data
        self._stream.feed(data)
        self.seen.append(self.screen)


@contextmanager
def on_terminal(
    project: Project, *words: str, columns: int = 90, rows: int = 60, env: Mapping[str, str] = {}
) -> Iterator[Terminal]:
    """Run `fab WORDS` on a terminal of this size during the block."""
    parent, child = pty.openpty()
    fcntl.ioctl(parent, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        project.command(*words),
        cwd=project.folder,
        env={**project.environment(), "TERM": "xterm-256color", **env},
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509 - no threads here; so Ctrl-C reaches it
    )
    os.close(child)
    try:
        yield Terminal(process, parent, pyte.Screen(columns, rows))
    finally:
        process.kill()
        process.wait()
        os.close(parent)


def take_terminal() -> None:
    """In a child that was just forked: its standard input becomes its controlling terminal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
