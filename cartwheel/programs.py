"""Runs programs on this machine, each with a deadline; none of them outlives its caller.

Each program leads its own process group, so that a terminal's Ctrl-C does not reach it: the
caller decides. The end of the wait (the program's end, its deadline, Ctrl-C, another failure)
ends the whole group. A program that must live on, such as gpg-agent, makes its own session.
"""

from __future__ import annotations

import functools
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from cartwheel.background import Background, is_abandoned
from cartwheel.events import Emit, Event

SIGN_OF_LIFE_SECONDS = 5.0  # no step is silent for more than ten
TERMINATE_SECONDS = 2.0  # time between SIGTERM and SIGKILL
_SLICE_SECONDS, _GONE_SECONDS = 0.05, 0.02
# Time to read the remaining output of a program that has ended. Its children may hold the pipe
# for ever.
_REST_SECONDS, _QUIET_SECONDS = 1.0, 0.2
_CHUNK_BYTES = _LINE_BYTES = 1 << 16
TAIL_LINES = 60

Begun: TypeAlias = subprocess.Popen[bytes]
"""A program that is talked to by its pipes."""

# So that a process that must leave at once can end them.
_running: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit status (negative: the signal), and what it printed."""

    status: int
    output: bytes
    errors: bytes

    @property
    def how(self) -> str:
        """A phrase: `ended with 3`."""
        if self.status < 0:
            return f"was killed by signal {-self.status}"
        return f"ended with {self.status}"

    @property
    def output_text(self) -> str:
        return _text(self.output)

    @property
    def errors_text(self) -> str:
        return _text(self.errors)

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of output and errors, for a person."""
        both = f"{self.output_text.rstrip()}\n{self.errors_text.rstrip()}".strip()
        return "\n".join(both.splitlines()[-lines:])


class LateError(Exception):
    """The deadline has passed; `ended` has the output until then."""

    def __init__(self, ended: Ended) -> None:
        super().__init__("the program did not end in time")
        self.ended = ended


class TooMuchError(Exception):
    """The program printed more than it may."""


class AbandonedError(Exception):
    """Nothing waits for the program any more."""


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    deadline_seconds: float,
    errors: Literal["apart", "with-output", "dropped"] = "apart",
    most_bytes: int | None = None,
    on_line: Callable[[str], None] | None = None,
    on_wait: Callable[[float, str], None] | None = None,
) -> Ended:
    """Run `argv` to its end, without input or terminal.

    `on_line` is called with each line of its output, `on_wait` every `SIGN_OF_LIFE_SECONDS`
    with the seconds that have passed and the last line. Raises LateError after
    `deadline_seconds`, TooMuchError for more than `most_bytes` of output, AbandonedError
    if nothing waits any more (background.py), and OSError if it cannot be started.
    """
    kinds = {"apart": subprocess.PIPE, "with-output": subprocess.STDOUT}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=kinds.get(errors, subprocess.DEVNULL),
            start_new_session=True,
        )

    listener = _Listener(most_bytes, on_line, on_wait)
    work = functools.partial(_run, start, listener, deadline_seconds)
    if threading.current_thread() is not threading.main_thread():
        return work()
    # Ctrl-C can interrupt the main thread anywhere, also while the program is being started.
    with Background(work) as running:
        return running.result()


def begin(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    errors: int = subprocess.DEVNULL,
    fds: Sequence[int] = (),
) -> Begun:
    """Start a program that is talked to by its pipes. `errors`: a descriptor for what it says on
    standard error; `fds`: what it gets besides, by the same numbers. The caller ends it with `end`
    or `stop`. Raises OSError if it cannot be started."""
    process = subprocess.Popen(
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        pass_fds=fds,
        start_new_session=True,
    )
    _running.add(process)
    return process


def stop(process: Begun, seconds: float) -> None:
    """End a program that was begun by the end of its input. It is killed if it needs longer."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    end(process)


def end(process: Begun) -> None:
    """Kill a program that was begun, and wait until it is gone."""
    _signal_group(process, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(TERMINATE_SECONDS)
    _running.discard(process)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def progress_of(step: str, emit: Emit) -> Callable[[float, str], None]:
    """An `on_wait` that reports the time and the last line as progress of `step`."""

    def tell(seconds: float, last: str) -> None:
        emit(Event(step, "progress", f"{seconds:.0f} s: {last}" if last else f"{seconds:.0f} s"))

    return tell


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def kill_running() -> None:
    """Kill every running program: for a process that must leave at once."""
    for process in list(_running):
        _signal_group(process, signal.SIGKILL)


def _run(
    start: Callable[[], subprocess.Popen[bytes]], listener: _Listener, deadline_seconds: float
) -> Ended:
    process = start()
    _running.add(process)
    try:
        is_late = _listen(process, listener, deadline_seconds)
    finally:
        _end(process)
        _running.discard(process)
    ended = Ended(
        process.returncode, bytes(listener.output.printed), bytes(listener.errors.printed)
    )
    if is_late:
        raise LateError(ended)
    return ended


@dataclass
class _Stream:
    printed: bytearray = field(default_factory=bytearray)
    begun: bytes = b""  # an incomplete line


class _Listener:
    """Collects a program's output, and passes its lines on."""

    def __init__(
        self,
        most_bytes: int | None,
        on_line: Callable[[str], None] | None,
        on_wait: Callable[[float, str], None] | None,
    ) -> None:
        self.output, self.errors = _Stream(), _Stream()
        self._last = ""
        self._most_bytes = most_bytes
        self._on_line = on_line
        self._on_wait = on_wait
        self._started = self._told = time.monotonic()

    def take(self, chunk: bytes, stream: _Stream) -> None:
        stream.printed += chunk
        if self._most_bytes is not None and len(stream.printed) > self._most_bytes:
            raise TooMuchError
        *lines, begun = (stream.begun + chunk).split(b"\n")
        stream.begun = begun[-_LINE_BYTES:]
        self._tell(lines)

    def end(self) -> None:
        """Pass on the last line, which may lack its newline."""
        self._tell([one.begun for one in (self.output, self.errors) if one.begun])

    def tick(self) -> None:
        now = time.monotonic()
        if self._on_wait is not None and now - self._told >= SIGN_OF_LIFE_SECONDS:
            self._told = now
            self._on_wait(now - self._started, self._last)

    def _tell(self, lines: Sequence[bytes]) -> None:
        for line in map(_text, lines):
            self._last = line.strip() or self._last
            if self._on_line is not None:
                self._on_line(line.rstrip())


def _listen(process: subprocess.Popen[bytes], listener: _Listener, deadline_seconds: float) -> bool:
    """Read its output until it has ended; whether its deadline passed before that."""
    end = time.monotonic() + deadline_seconds
    with selectors.DefaultSelector() as pipes:
        for pipe, stream in ((process.stdout, listener.output), (process.stderr, listener.errors)):
            if pipe is not None:
                pipes.register(pipe, selectors.EVENT_READ, stream)
        with _woken_at_the_end(process, pipes):
            while process.poll() is None:
                if is_abandoned():
                    raise AbandonedError
                if time.monotonic() >= end:
                    return True
                listener.tick()
                if pipes.get_map():
                    _take(pipes, listener, _SLICE_SECONDS)
                else:  # it has closed both pipes
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(_SLICE_SECONDS)
        rest = time.monotonic() + _REST_SECONDS
        while (
            pipes.get_map() and time.monotonic() < rest and _take(pipes, listener, _QUIET_SECONDS)
        ):
            pass
    listener.end()
    return False


@contextmanager
def _woken_at_the_end(
    process: subprocess.Popen[bytes], pipes: selectors.BaseSelector
) -> Iterator[None]:
    """Make the wait for the pipes end with the program too, by a pidfd; without one (macOS, a
    kernel before 5.3) the slices of the wait do."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        yield
        return
    pipes.register(pidfd, selectors.EVENT_READ)
    try:
        yield
    finally:
        pipes.unregister(pidfd)
        os.close(pidfd)


def _take(pipes: selectors.BaseSelector, listener: _Listener, seconds: float) -> bool:
    """Read output for these seconds; whether there was any."""
    ready = pipes.select(seconds)
    for key, _ in ready:
        if key.data is None:  # the program's end
            continue
        chunk = os.read(key.fd, _CHUNK_BYTES)
        if chunk:
            listener.take(chunk, key.data)
        else:
            pipes.unregister(key.fd)
    return bool(ready)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the rest of the program's group, and reap the program."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _is_gone(process) or not _signal_group(process, number):
            break
        end = time.monotonic() + TERMINATE_SECONDS
        while not _is_gone(process) and time.monotonic() < end:
            time.sleep(_GONE_SECONDS)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _is_gone(process: subprocess.Popen[bytes]) -> bool:
    """Whether the program and its whole group have ended."""
    if process.poll() is None:
        return False
    return not _signal_group(process, 0) or not _has_living(process.pid)


def _has_living(group: int) -> bool:
    """Whether the group has a process that is not a zombie, which its new parent has not reaped
    (proc(5)); true if that cannot be read."""
    found = list(Path("/proc").glob("[0-9]*/stat"))
    for path in found:
        with suppress(OSError):
            state, _parent, of = path.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(of) == group and state not in "ZX":
                return True
    return not found


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to the group; whether it could reach any process: one that belongs to another
    user (sudo) cannot be ended from here."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
