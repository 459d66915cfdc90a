"""Run a program on the host: with a deadline, in its own process group, as any user."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import select
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import IO, Callable, Deque, Dict, Iterator, List, Optional, Sequence, Tuple

from cartwheel.host.system.context import Context, OpError

_TAIL_LINES = 200
_SHOWN_LINES = 30
_ANSWER_LINES = 100_000
_LINE_BYTES = 64 << 10  # a longer line is cut into pieces, so that none fills the memory
_POLL_SECONDS = 0.2
_KILL_SECONDS = 3.0
_CHECK_SECONDS = 60.0

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Done:
    """A program that ended: its exit status (negative: the signal) and what it printed. `errors`
    has its standard error if that was read apart (see `ask`)."""

    status: int
    output: str
    errors: str = ""


def clean_environment(extra: Optional[Dict[str, str]] = None) -> Dict[str, str]:
    """A small, fixed environment; nothing from the login is passed on."""
    return {"PATH": _PATH, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **(extra or {})}


def forget_login() -> None:
    """Clear this process's own environment of everything from the login or sudo."""
    os.environ.clear()
    os.environ.update(clean_environment())


def run(
    ctx: Optional[Context],
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    env: Optional[Dict[str, str]] = None,
    user: Optional[str] = None,
    cwd: Optional[str] = None,
    step: str = "",
    stdin: Optional[bytes] = None,
    on_line: Optional[Callable[[str], None]] = None,
    doing: Callable[[Sequence[str]], str] = lambda lines: lines[-1],
    umask: int = 0o022,
) -> Done:
    """Run `argv` to its end; output and errors together, the last lines kept.

    With a context it stops when contact is lost or the request's deadline passes, and reports
    what it is `doing`, by its last lines, as progress of `step`. Raises OpError("deadline"),
    ContactLost, OpError("missing-program"), or OpError("not-set-up") if there is no such user.
    """
    uid, gid, groups = _ids(user)
    with _starting(argv):
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=clean_environment(env),
            cwd=cwd or "/",
            user=uid,
            group=gid,
            extra_groups=groups,
            umask=umask,
        )
    tail: Deque[str] = deque(maxlen=_TAIL_LINES)
    readers = [_reader(child.stdout, tail, on_line)]
    if stdin is not None:
        # In a thread: a child that does not read must not delay the deadline.
        threading.Thread(target=_feed, args=(child, stdin), daemon=True).start()
    _await(ctx, child, readers, tail, argv, timeout_seconds, step, doing)
    return Done(child.returncode, "\n".join(tail))


def ask(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    ctx: Optional[Context] = None,
    on_line: Optional[Callable[[str], None]] = None,
    line_bytes: int = _LINE_BYTES,
) -> Done:
    """Run `argv` and return its whole output, without its errors; or else `on_line` gets each line.
    Deadlines and exceptions as in `run`."""
    with _starting(argv):
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=clean_environment(),
            cwd="/",
        )
    lines: Deque[str] = deque(maxlen=0 if on_line else _ANSWER_LINES)
    errors: Deque[str] = deque(maxlen=_TAIL_LINES)
    readers = [
        _reader(child.stdout, lines, on_line, line_bytes),
        _reader(child.stderr, errors, None),
    ]
    _await(ctx, child, readers, errors, argv, timeout_seconds, "")
    return Done(child.returncode, "\n".join(lines), "\n".join(errors))


@contextlib.contextmanager
def _starting(argv: Sequence[str]) -> Iterator[None]:
    """Says which program is missing."""
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        why = "is not on this host" if isinstance(error, FileNotFoundError) else "may not be used"
        # The folder's name, if the folder is missing.
        raise OpError("missing-program", f"{error.filename or argv[0]} {why}") from error


def account(user: str) -> pwd.struct_passwd:
    """The user's account. Raises OpError("not-set-up")."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise OpError("not-set-up", f"there is no user {user} on this host") from None


def group_id(group: str) -> int:
    """The group's number. Raises OpError("not-set-up")."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise OpError("not-set-up", f"there is no group {group} on this host") from None


def _ids(user: Optional[str]) -> Tuple[Optional[int], Optional[int], Optional[List[int]]]:
    """The uid, gid and groups to switch to; None: no change."""
    entry = account(user) if user is not None else None
    if entry is None or entry.pw_uid == os.geteuid():
        return None, None, None
    return entry.pw_uid, entry.pw_gid, os.getgrouplist(entry.pw_name, entry.pw_gid)


def _reader(
    pipe: "Optional[IO[bytes]]",
    lines: Deque[str],
    on_line: Optional[Callable[[str], None]],
    line_bytes: int = _LINE_BYTES,
) -> threading.Thread:
    """Read lines in a thread until the pipe ends."""

    def collect() -> None:
        if pipe is None:
            return
        with pipe as output:
            for raw in iter(lambda: output.readline(line_bytes), b""):
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                lines.append(line)
                if on_line is not None:
                    on_line(line)

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    return thread


def _feed(child: "subprocess.Popen[bytes]", data: bytes) -> None:
    if child.stdin is not None:
        with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
            stdin.write(data)


def _await(
    ctx: Optional[Context],
    child: "subprocess.Popen[bytes]",
    readers: List[threading.Thread],
    tail: Deque[str],
    argv: Sequence[str],
    timeout_seconds: float,
    step: str,
    doing: Callable[[Sequence[str]], str] = lambda lines: lines[-1],
) -> None:
    """Wait until the child has ended and its output is read; otherwise end it."""
    end = time.monotonic() + timeout_seconds
    try:
        while not _ends(child, _POLL_SECONDS):
            if ctx is not None:
                ctx.poll()
            if time.monotonic() > end:
                name = os.path.basename(argv[0])
                raise OpError("deadline", f"{name} did not end in time", log="\n".join(tail))
            if ctx is not None and step:
                ctx.progress(step, doing(list(tail))[:200] if tail else "still working")
    except BaseException:
        kill_group(child)
        raise
    for reader in readers:
        reader.join(_KILL_SECONDS)


def _ends(child: "subprocess.Popen[bytes]", within_seconds: float) -> bool:
    """Whether the child ends within this time. A pidfd (Linux 5.3) reports it at once;
    `Popen.wait` polls only every 50 ms."""
    if child.poll() is not None:
        return True
    try:
        pidfd = os.pidfd_open(child.pid)
    except (AttributeError, OSError):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(within_seconds)
    else:
        try:
            end = select.poll()
            end.register(pidfd, select.POLLIN)
            end.poll(within_seconds * 1000)
        finally:
            os.close(pidfd)
    return child.poll() is not None


def kill_group(child: "subprocess.Popen[bytes]") -> None:
    """End the child and everything in its process group: SIGTERM, then SIGKILL."""
    for number, patience in ((signal.SIGTERM, 1.0), (signal.SIGKILL, _KILL_SECONDS)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            continue
        _ends(child, patience)


def check(ctx: Optional[Context], argv: Sequence[str], slug: str, message: str) -> None:
    """Run `argv`; an exit status other than 0 raises OpError(`slug`) with the output as its log."""
    done = run(ctx, argv, timeout_seconds=_CHECK_SECONDS)
    if done.status != 0:
        raise OpError(slug, message, log=done.output)


def tail(output: str) -> str:
    """The last lines of a program's output, for a message."""
    return "\n".join(output.splitlines()[-_SHOWN_LINES:])
