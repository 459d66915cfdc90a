"""Single commands: a script for a host without Python, and a terminal for `fab shell`.

Both read and write the channel directly; a missing exit status is a failure (P11).
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import paramiko

from cartwheel.errors import CartwheelError, ConnectError, UsageError
from cartwheel.host.wire.framing import write_all
from cartwheel.ssh import startup
from cartwheel.ssh.connection import CHANNEL_TIMEOUT_SECONDS, StrictConnection, failures

STDOUT, STDERR = 1, 2
START_SECONDS = 30.0
PULSE_SECONDS = 2.0
SILENCE_SECONDS = 10.0
SLEPT_SECONDS = 3.0
_STATUS_SECONDS = 5.0
TAIL_BYTES = 64 << 10
_READ_BYTES = 1 << 18
_POLL_SECONDS = 0.2
_SEND_BYTES = 1 << 15

# The shell code that runs the command. It first prints a marker that no tracing shell (`set -x`)
# shows, on both streams, because either may arrive first; a terminal has one stream for both.
_SAY = "echo; echo cartwheel-ready:$0"
_ON_TERMINAL = f'{_SAY}; exec "$@"'
_PLAIN = f'{{ {_SAY}; }} >&2; {_SAY}; exec "$@"'


@dataclass(frozen=True)
class Finished:
    """How a script ended: its exit status, and the end of its output."""

    status: int
    tail: str


def run_script(
    connection: StrictConnection,
    script: bytes,
    *,
    on_line: Callable[[str], None] = lambda _line: None,
    deadline_seconds: float = 600.0,
) -> Finished:
    """Feed `script` to `sh -s` of root. Complete lines of both its outputs go to `on_line`.

    Raises ConnectError (also if no exit status arrives) and CartwheelError `deadline`. The
    caller judges an exit status other than 0.
    """
    tail, rests = bytearray(), {STDOUT: b"", STDERR: b""}
    with _running(connection, (*startup.KNOWN_ENVIRONMENT, "sh", "-s")) as running:
        for fd, data in running.output(script, deadline_seconds):
            tail.extend(data)
            del tail[:-TAIL_BYTES]
            *lines, rests[fd] = (rests[fd] + data).split(b"\n")
            for line in lines:
                on_line(line.decode("utf-8", "replace"))
        status = running.status()
    for rest in filter(None, rests.values()):
        on_line(rest.decode("utf-8", "replace"))
    return Finished(status, tail.decode("utf-8", "replace"))


def interactive(connection: StrictConnection, argv: Sequence[str]) -> int:
    """Run `argv` as root on its own terminal, connected to ours; its exit status.

    Raises UsageError if standard input is not a terminal.
    """
    local_in, local_out = sys.stdin.fileno(), sys.stdout.fileno()
    if not os.isatty(local_in):
        raise UsageError("usage", "an interactive shell needs a terminal", hint="Use `fab run`.")
    with _running(connection, argv, pty=True) as running:
        _await_start(running, local_out)
        with _raw_terminal(local_in) as size:
            _join(running, local_in, local_out, size)
        return running.status()


@contextlib.contextmanager
def _running(
    connection: StrictConnection, argv: Sequence[str], *, pty: bool = False
) -> Iterator[_Running]:
    """Start a command; its channel is closed in the end."""
    running = _Running(connection, argv, pty=pty)
    try:
        yield running
    finally:
        with contextlib.suppress(Exception):
            running.channel.close()


class _Running:
    """A command on a channel. It prints our marker once it is past sudo; until then the output is
    noise, or sudo's prompt."""

    def __init__(self, connection: StrictConnection, argv: Sequence[str], *, pty: bool) -> None:
        self.target = connection.target
        nonce = secrets.token_hex(16)
        self._pty = pty
        self._prompt = f"[cartwheel {nonce}]"
        self._asking = startup.prompt_pattern(self._prompt)
        self._ready = nonce
        self._sudo = self._sudo_words(pty)
        self._begun: set[int] = set()  # streams on which the command's own output has begun
        self.asked = 0  # number of sudo's password prompts
        self._early = {STDOUT: bytearray(), STDERR: bytearray()}  # output before the command's own
        with failures(self.target):
            connection.open()
            self.channel: paramiko.Channel = connection.transport.open_session(
                timeout=CHANNEL_TIMEOUT_SECONDS
            )
            if pty:
                columns, lines = _terminal_size(sys.stdin.fileno())
                self.channel.get_pty(os.environ.get("TERM", "xterm"), columns, lines)
            self.channel.exec_command(self._command(argv))
        self._pulse = _Pulse(connection.transport)

    def output(self, stdin: bytes, deadline_seconds: float) -> Iterator[tuple[int, bytes]]:
        """Pieces of output until the end; sends `stdin` once the command has started."""
        poller = select.poll()
        poller.register(self.channel.fileno(), select.POLLIN)
        begun = time.monotonic()
        unsent, closed = memoryview(stdin), False
        while True:
            busy = self.started and len(unsent) > 0
            poller.poll(10 if busy else _POLL_SECONDS * 1000)
            yield from self.pieces()
            if self.started and not closed:
                if unsent and self.channel.send_ready():
                    unsent = unsent[self.channel.send(bytes(unsent[:_SEND_BYTES])) :]
                if not len(unsent):
                    self.channel.shutdown_write()
                    closed = True
            if self.ended():
                yield from self.pieces()
                return
            self.check_silence()
            self.check_time(time.monotonic() - begun, deadline_seconds)

    @property
    def started(self) -> bool:
        """Whether the command runs, past login and sudo."""
        return STDOUT in self._begun

    def ended(self) -> bool:
        channel = self.channel
        at_end = bool(channel.eof_received or channel.closed)
        return at_end and not channel.recv_ready() and not channel.recv_stderr_ready()

    def status(self) -> int:
        """Raises ConnectError if the command did not start, or no exit status came."""
        self.channel.status_event.wait(_STATUS_SECONDS)  # or until the channel is closed
        status = self.channel.exit_status
        if not self.started:
            raise startup.why_not_started(
                self.target,
                None if status < 0 else status,
                # A terminal has one stream for both.
                self._early_text(STDOUT if self._pty else STDERR),
                sudo=bool(self._sudo),
                unit=None,
                printed="" if self._pty else self._early_text(STDOUT),
            )
        if status < 0:
            raise ConnectError(
                "ssh-lost",
                "the command ended without an exit status: it was killed, or the connection was"
                " lost",
                host=self.target.name,
            )
        return status

    def resize(self, columns: int, lines: int) -> None:
        self.channel.resize_pty(columns, lines)

    def check_silence(self) -> None:
        """Raises ConnectError `ssh-lost` if the host has stopped answering."""
        silence = self._pulse.silence()
        if silence > SILENCE_SECONDS:
            raise ConnectError(
                "ssh-lost",
                f"the host fell silent (noticed after {silence:.0f} s)",
                host=self.target.name,
            )

    def _sudo_words(self, pty: bool) -> list[str]:
        words = startup.sudo_words(self.target, self._prompt)
        if not (pty and words):
            return words
        # On a terminal sudo asks there, without echo; -S would show the password.
        asks = ["-k"] if self.target.sudo_password is not None else []
        return ["env", "LC_ALL=C", "sudo", *asks, "-p", self._prompt, "--"]

    def _command(self, argv: Sequence[str]) -> str:
        wrapper = _ON_TERMINAL if self._pty else _PLAIN
        words = [*self._sudo, "sh", "-c", wrapper, self._ready, *argv]
        return " ".join(startup.quote(word) for word in words)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """The output that has arrived by now."""
        while self.channel.recv_stderr_ready():
            yield from self._sort(STDERR, self.channel.recv_stderr(_READ_BYTES))
        while self.channel.recv_ready():
            yield from self._sort(STDOUT, self.channel.recv(_READ_BYTES))

    def _sort(self, fd: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        if fd in self._begun:
            yield fd, data
            return
        early = self._early[fd]
        early += data
        while len(self._asking.findall(early)) > self.asked:
            self.asked += 1
            yield from self._answer(fd)
        ready = re.search(rb"\ncartwheel-ready:%b\r?\n" % self._ready.encode(), early)
        if ready:
            self._begun.add(fd)
            if fd == STDOUT and self.asked and self.target.sudo_password is None:
                yield fd, b"\r\n"  # the person's input was not shown, nor its newline
            if len(early) > ready.end():
                yield fd, bytes(early[ready.end() :])
        elif len(early) > startup.NOISE_LIMIT_BYTES:
            raise self._no_greeting("the login prints without stopping")

    def _answer(self, fd: int) -> Iterator[tuple[int, bytes]]:
        if self.target.sudo_password is None:  # on a terminal: the person answers
            yield fd, f"[sudo] password for {self.target.user}: ".encode()
            return
        if self.asked > 1:
            raise startup.wrong_password(self.target)
        self.channel.sendall(f"{self.target.sudo_password.reveal()}\n".encode())

    def _early_text(self, fd: int) -> str:
        return self._early[fd].decode("utf-8", "replace").replace(self._prompt, "")

    def _no_greeting(self, reason: str) -> ConnectError:
        return startup.no_greeting(
            self.target, reason, self._early_text(STDERR), self._early_text(STDOUT)
        )

    def check_time(self, seconds: float, deadline_seconds: float | None = None) -> None:
        """Raises ConnectError if the command has not started in time, and `deadline`."""
        if not self.started and seconds > START_SECONDS:
            raise self._no_greeting(f"the command did not start within {START_SECONDS:g} s")
        if deadline_seconds is not None and seconds > deadline_seconds:
            raise CartwheelError(
                "deadline",
                f"the command did not end within {deadline_seconds:g} s",
                host=self.target.name,
            )


def _await_start(running: _Running, local_out: int) -> None:
    """Wait until the command runs, or sudo asks the person: no input is sent before."""
    poller = select.poll()
    poller.register(running.channel.fileno(), select.POLLIN)
    begun = time.monotonic()
    while not (running.started or running.asked or running.ended()):
        poller.poll(_POLL_SECONDS * 1000)
        for _fd, data in running.pieces():
            write_all(local_out, data)
        running.check_silence()
        running.check_time(time.monotonic() - begun)


def _join(running: _Running, local_in: int, local_out: int, size: _Size) -> None:
    poller = select.poll()
    poller.register(running.channel.fileno(), select.POLLIN)
    poller.register(local_in, select.POLLIN)
    while not running.ended():
        ready = {fd for fd, _event in poller.poll(_POLL_SECONDS * 1000)}
        running.check_silence()
        size.pass_on(running.resize)
        for _fd, data in running.pieces():
            write_all(local_out, data)
        if local_in in ready:
            typed = os.read(local_in, 1024)
            if not typed:
                poller.unregister(local_in)
                running.channel.shutdown_write()
            else:
                running.channel.sendall(typed)


class _Size:
    """The size of a terminal. The signal is only noted: it may come while the connection holds a
    lock that passing the size on needs too."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._has_changed = False

    def note(self, *_signal: object) -> None:
        self._has_changed = True

    def pass_on(self, resize: Callable[[int, int], None]) -> None:
        """Call `resize` with columns and lines, if they have changed since."""
        if self._has_changed:
            self._has_changed = False
            with contextlib.suppress(paramiko.SSHException, OSError):
                resize(*_terminal_size(self._fd))


@contextlib.contextmanager
def _raw_terminal(fd: int) -> Iterator[_Size]:
    before, size = termios.tcgetattr(fd), _Size(fd)
    handler = signal.signal(signal.SIGWINCH, size.note)
    try:
        tty.setraw(fd)
        yield size
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)


def _terminal_size(fd: int) -> tuple[int, int]:
    """Columns and lines of the terminal: $COLUMNS and $LINES do not follow a resize."""
    columns, lines = os.get_terminal_size(fd)
    return columns or 80, lines or 24


class _Pulse:
    """Asks the host's sshd every few seconds whether it is alive (RFC 4254, 4).

    TCP_USER_TIMEOUT alone only watches the way to the next gateway or forwarder.
    """

    def __init__(self, transport: paramiko.Transport) -> None:
        self._transport = transport
        self._answered = self._looked = time.monotonic()
        threading.Thread(target=self._ask, name="pulse", daemon=True).start()

    def silence(self) -> float:
        """Seconds since the last answer; time while this process was suspended does not count."""
        now = time.monotonic()
        if now - self._looked > SLEPT_SECONDS:
            self._answered = now
        self._looked = now
        return now - self._answered

    def _ask(self) -> None:
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            while self._transport.is_active():
                self._transport.global_request("keepalive@openssh.com", wait=True)
                self._answered = time.monotonic()
                time.sleep(PULSE_SECONDS)
