"""The dispatcher of timers: start a timer's job if a run is due, and keep how it ended.

Installed as `timer`. `timer run NAME` is what systemd's timer starts; `timer ended NAME RELEASE
RESULT CODE STATUS` is run by systemd when a job has ended, also if the dispatcher was killed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.state import releases, timers
from cartwheel.host.system import flock, systemd
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.timer import Result, Run, Timer

# systemd is not early; a clock that is set back a little is.
_EARLY_SECONDS = 2.0
# Without catch_up, a run that begins later than this was missed.
_LATE_SECONDS = 60.0
_STOP_SECONDS = 120.0  # longer than the job's unit takes to end it
_POLL_SECONDS = 0.5
_END_SECONDS = 10.0
_TRIM_BYTES = 1 << 20


def main(argv: Optional[List[str]] = None) -> int:
    app, base, what, name, *more = argv if argv is not None else sys.argv[1:]
    at = Layout(app, Path(base))
    try:
        if what == "run":
            dispatch(at, name)
        else:
            ended(at, name, *more)
    except (OpError, OSError, ValueError) as error:
        print(f"{app}: timer {name}: {error}", flush=True)  # noqa: T201 - for systemd's journal
        return 1
    return 0


def dispatch(at: Layout, name: str) -> None:
    """Run the timer's job, unless no run is due or another one is under way."""
    lock = take_lock(at, name)
    if lock is None:
        return
    try:
        run = _begin(at, name)
        if run is not None:
            _carry_out(at, name, run)
            timers.prune(at, name)
    finally:
        os.close(lock)


def take_lock(at: Layout, name: str) -> Optional[int]:
    """The kernel's lock of the timer, which ends with its holder; None if it is taken."""
    timers.make_folders(at, name)
    path = str(at.timers / name / "lock")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if flock.take(fd, flock.LOOK_SECONDS):
        return fd
    os.close(fd)
    return None


def _begin(at: Layout, name: str) -> Optional[Run]:
    """The run that is to be made now; it is on record before anything starts."""
    timer, now = timers.here(at).get(name), time.time()
    if timer is None:
        return None
    asked = timers.asked(at, name)
    if at.stopped.exists() or (asked is None and timers.paused(at, name)):
        timers.count_from_now(at, name, timer)
        return None
    due = None if asked else _due(at, name, timer, now)
    if (asked is None and due is None) or name in dict(systemd.jobs(at)):
        return None
    run = asked or Run(number=0, started=now, due=due)
    run = replace(run, number=timers.next_number(at, name), started=now)
    timers.write(at, name, run)
    return run


def _due(at: Layout, name: str, timer: Timer, now: float) -> Optional[float]:
    due = timers.owed(at, name, timer, now + _EARLY_SECONDS)
    is_late = due is not None and now - due > _LATE_SECONDS
    return None if is_late and not timer.catch_up else due


def _carry_out(at: Layout, name: str, run: Run) -> None:
    """Start the live release's job, and wait for its end."""
    timers.forget_asked(at, name)
    release = releases.pointed(at.current)
    if release is None:
        return
    timers.begin_output(at, name)
    run = replace(run, release=release)
    timers.write(at, name, run)
    seconds = releases.manifest(at, release).timers.get(name, Timer()).timeout_seconds
    with _Forwarding(timers.running_output(at, name)):
        why = systemd.run_job(at, name, release, seconds + _STOP_SECONDS)
    known = [one for one in timers.runs(at, name) if one.number == run.number]
    if known and known[0].ended is None:  # systemd did not get as far as to start it
        timers.keep_output(at, name, run.number)
        how: Result = "failed" if why else "done"
        timers.write(at, name, replace(run, ended=time.time(), result=how, detail=why))


class _Forwarding(threading.Thread):
    """Passes on what a job prints to this service's own log, while it runs; and keeps the file of a
    job that prints much from growing."""

    def __init__(self, path: Path) -> None:
        super().__init__(name="output", daemon=True)
        self._fd = os.open(str(path), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._position = 0
        self._over = threading.Event()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self.join(_END_SECONDS)
        if not self.is_alive():
            os.close(self._fd)

    def run(self) -> None:
        while not self._over.wait(_POLL_SECONDS):
            self._pass_on()
        self._pass_on()

    def _pass_on(self) -> None:
        while text := os.pread(self._fd, _TRIM_BYTES, self._position):
            self._position += len(text)
            sys.stdout.write(text.decode("utf-8", "replace"))
            sys.stdout.flush()
        if self._position > _TRIM_BYTES:
            kept = os.pread(self._fd, timers.KEPT_BYTES, self._position - timers.KEPT_BYTES)
            os.ftruncate(self._fd, 0)
            os.write(self._fd, kept)
            self._position = len(kept)


def ended(at: Layout, name: str, release: str, result: str, code: str, status: str) -> None:
    """Keep how the job of a release ended (systemd.exec(5), $SERVICE_RESULT), and its output."""
    open_runs = [
        run for run in timers.runs(at, name) if run.ended is None and run.release == release
    ]
    for run in open_runs[-1:]:
        timers.keep_output(at, name, run.number)
        how, detail = _how(result, code, status)
        timers.write(at, name, replace(run, ended=time.time(), result=how, detail=detail))


def _how(result: str, code: str, status: str) -> Tuple[Result, str]:
    if result == "success":
        return "done", ""
    if result == "timeout":
        return "timeout", "it took longer than timeout_seconds"
    if result == "exit-code":
        return "failed", f"exit status {status}"
    if result == "signal" and status == signal.SIGTERM.name[3:]:
        return "cut", "it was asked to stop (SIGTERM)"
    if code in ("killed", "dumped"):
        why = "out of memory, " if result == "oom-kill" else ""
        return "failed", f"{why}killed by SIG{status}"
    return "failed", result


if __name__ == "__main__":
    sys.exit(main())
