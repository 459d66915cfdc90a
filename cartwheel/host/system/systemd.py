"""Units of an application, by systemctl."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, FrozenSet, List, Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.system import children, files
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.instance import Instance

_CALL_SECONDS = 30.0
_POLL_SECONDS = 0.1
_BEGUN_SECONDS, _BEGUN_POLL_SECONDS = 5.0, 0.01
_AT_REST = ("inactive", "failed")

RUNNING = ("active", "activating")  # ActiveState of units that run or are starting
STOPPING = "deactivating"  # of units that were asked to stop, and have not ended yet

# How `systemctl show` prints a time span (systemd.time(7)).
_SPANS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
# systemd's default for units, and the longest `deploy.drain_seconds`: every wait has an end.
_STOP_SECONDS, _STOP_SECONDS_MAX = 90.0, 86400.0


@dataclass(frozen=True)
class UnitState:
    """The state of a unit; `active` is its ActiveState."""

    active: str
    sub: str
    restarts: int
    main_pid: int
    memory_bytes: Optional[int]
    since_monotonic: Optional[float]  # seconds of CLOCK_MONOTONIC; None if it never was active
    result: str
    unit_file: str = ""  # UnitFileState: "enabled", "masked", ...; "" where there is no file
    stop_seconds: float = _STOP_SECONDS  # how long systemd waits for it to stop
    left_monotonic: Optional[float] = None  # as since_monotonic: when it was last no more active
    is_outdated: bool = False  # its file has changed since systemd read it

    @property
    def is_up(self) -> bool:
        return self.active == "active"

    @property
    def has_failed(self) -> bool:
        return self.active == "failed" or self.sub == "auto-restart" or self.restarts > 0

    @property
    def is_at_rest(self) -> bool:
        return self.active in _AT_REST


_PROPERTIES = (
    "ActiveState,SubState,NRestarts,MainPID,MemoryCurrent,ActiveEnterTimestampMonotonic,"
    "ActiveExitTimestampMonotonic,Result,UnitFileState,TimeoutStopUSec,NeedDaemonReload"
)
_LISTING = ("list-units", "--plain", "--no-legend", "--no-pager")


def _systemctl(*words: str, ctx: Optional[Context] = None) -> children.Done:
    return children.run(ctx, ["systemctl", *words], timeout_seconds=_CALL_SECONDS)


def _answer(*words: str) -> str:
    """What systemctl prints. If it fails, what runs is unknown: it must not count as nothing."""
    done = children.ask(["systemctl", *words], timeout_seconds=_CALL_SECONDS)
    if done.status != 0:
        raise OpError("systemd", "systemctl does not answer", log=done.errors)
    return done.output


def _rows(listing: str) -> List[List[str]]:
    """The words of each line of a listing of units."""
    rows = (line.replace("●", " ").split() for line in listing.splitlines())
    return [row for row in rows if len(row) >= 3]


def _values(block: str) -> Dict[str, str]:
    """The properties of one unit, as `systemctl show` prints them."""
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def state(unit: str) -> UnitState:
    """The unit's state now; an unknown unit is inactive."""
    return states([unit])[unit]


def states(units: List[str]) -> Dict[str, UnitState]:
    """The states of several units with one call."""
    if not units:
        return {}
    blocks = map(_values, _answer("show", "--property=Id," + _PROPERTIES, *units).split("\n\n"))
    return {unit: _parse(block) for unit, block in zip(units, blocks)}


def _parse(values: Dict[str, str]) -> UnitState:
    memory = values.get("MemoryCurrent", "")
    return UnitState(
        active=values.get("ActiveState", "unknown"),
        sub=values.get("SubState", "unknown"),
        restarts=int(values.get("NRestarts") or 0),
        main_pid=int(values.get("MainPID") or 0),
        # "[not set]", or 2^64-1, if the unit does not run
        memory_bytes=int(memory) if memory.isdigit() and int(memory) < 1 << 62 else None,
        since_monotonic=_seconds(values.get("ActiveEnterTimestampMonotonic")),
        result=values.get("Result", ""),
        unit_file=values.get("UnitFileState", ""),
        stop_seconds=_span_seconds(values.get("TimeoutStopUSec", "")),
        left_monotonic=_seconds(values.get("ActiveExitTimestampMonotonic")),
        is_outdated=values.get("NeedDaemonReload") == "yes",
    )


def _seconds(microseconds: Optional[str]) -> Optional[float]:
    """A time of systemd's; None if it has not come yet."""
    return int(microseconds or 0) / 1e6 or None


def _span_seconds(text: str) -> float:
    """`1min 10s` in seconds, at most a day; "infinity" counts as a day."""
    parts = re.findall(r"([0-9.]+)([a-z]+)", text)
    seconds = sum(float(number) * _SPANS.get(unit, _STOP_SECONDS_MAX) for number, unit in parts)
    return min(seconds or _STOP_SECONDS_MAX, _STOP_SECONDS_MAX) if text else _STOP_SECONDS


@dataclass(frozen=True)
class Units:
    """What systemd has loaded of an application. `active`: each instance with its ActiveState.
    `draining`: instances that will be stopped once no connection waits for them. `jobs`: of timers,
    under way: timer and release. `failed`: the units of instances, sessions and trials that have
    failed."""

    active: Dict[Instance, str]
    draining: FrozenSet[Instance] = frozenset()
    jobs: Tuple[Tuple[str, str], ...] = ()
    failed: Tuple[str, ...] = ()

    @property
    def running(self) -> Dict[Instance, str]:
        """The instances that are not inactive or failed; STOPPING includes those that drain."""
        return {
            one: STOPPING if one in self.draining else active
            for one, active in self.active.items()
            if active not in _AT_REST
        }


def units(at: Layout) -> Units:
    """What systemd has loaded of the application, with one call."""
    app = re.escape(at.app)
    passing = re.compile(rf"cartwheel-(?:session|verify)-{app}-[0-9a-f]+\.service")
    kinds = (f"{at.app}.", f"{at.app}_job.", f"session-{at.app}-", f"verify-{at.app}-")
    globs = [f"cartwheel-{kind}*.service" for kind in kinds]
    states = {row[0]: row[2] for row in _rows(_answer(*_LISTING, "--all", *globs))}
    up = [unit for unit, active in states.items() if active not in _AT_REST]
    instances = {unit: at.instance_of(unit) for unit in states}
    drained, jobs = map(at.drained_by, up), map(at.job_of, up)
    return Units(
        active={one: states[unit] for unit, one in instances.items() if one is not None},
        draining=frozenset(one for one in drained if one is not None),
        jobs=tuple(job for job in jobs if job is not None),
        failed=tuple(
            unit
            for unit, active in sorted(states.items())
            if active == "failed" and (instances[unit] is not None or passing.fullmatch(unit))
        ),
    )


def instances(at: Layout) -> Dict[Instance, str]:
    """The instances that are not inactive or failed."""
    return units(at).running


def jobs(at: Layout) -> Tuple[Tuple[str, str], ...]:
    """The jobs of timers that are under way: timer and release."""
    return units(at).jobs if at.timers.is_dir() else ()


def ended(unit: str) -> str:
    """How a unit that failed ended, in systemd's words (systemctl(1), systemd.exec(5))."""
    values = _values(_systemctl("show", "--property=Result,ExecMainStatus", unit).output)
    result, status = values.get("Result", ""), values.get("ExecMainStatus") or "0"
    return f"exit status {status}" if result == "exit-code" else result


def forget_failure(unit: str) -> None:
    _systemctl("reset-failed", unit)


def install(at: Layout, one: Instance) -> bool:
    """Install the release's unit file for this slot; it stays there as long as the release. If the
    release has lost it, the installed one stays. Raises OpError("not-whole") without either."""
    source = at.unit_source(one)
    text = source.read_bytes() if source.is_file() else b""
    if text:
        return files.write(at.unit_file(one), text, 0o644)
    if not at.unit_file(one).exists():
        raise OpError("not-whole", f"{one.release} is damaged: it has lost {source.name}")
    return False


def run_job(at: Layout, timer: str, release: str, seconds: float) -> str:
    """Start a timer's job and wait for its end; why systemd could not, "" if it could. Its unit
    file stays as long as the release. systemctl may end before the job: it loses its connection
    where systemd is upgraded."""
    try:
        files.write(at.job_unit(timer, release), at.job_source(timer, release).read_bytes())
    except FileNotFoundError as error:
        return f"{release} is damaged: it has lost {os.path.basename(error.filename)}"
    argv = ["systemctl", "start", at.job_unit(timer, release).name]
    end = time.monotonic() + seconds
    done = children.run(None, argv, timeout_seconds=seconds)
    if done.status == 0:
        return ""
    while not _is_over(argv[-1]) and time.monotonic() < end:
        time.sleep(1.0)
    return done.output.strip() or f"exit status {done.status}"


def _is_over(unit: str) -> bool:
    """Whether it is certain that it has ended."""
    try:
        return state(unit).is_at_rest
    except OpError:
        return False


def reload(ctx: Optional[Context] = None) -> None:
    children.check(ctx, ["systemctl", "daemon-reload"], "systemd", "systemctl daemon-reload failed")


def start(ctx: Optional[Context], unit: str) -> None:
    """Ask for the start without waiting: only HTTP answers show that it worked."""
    _systemctl("reset-failed", unit, ctx=ctx)
    done = _systemctl("start", "--no-block", unit, ctx=ctx)
    if done.status != 0:
        raise OpError("start-failed", f"systemd could not start {unit}", log=done.output)


def stop(unit: str) -> None:
    """Ask for a graceful stop and do not wait for it: systemd enforces the unit's own time limit. A
    unit that is already stopping gets no second signal. On return the stop has begun, so nobody
    takes the unit for a running one."""
    _systemctl("stop", "--no-block", unit)
    end = time.monotonic() + _BEGUN_SECONDS
    while state(unit).is_up and time.monotonic() < end:
        time.sleep(_BEGUN_POLL_SECONDS)


def start_timer(unit: str) -> None:
    """Let a timer wait for its next time. Raises OpError("start-failed")."""
    done = _systemctl("start", unit)
    if done.status != 0:
        raise OpError("start-failed", f"systemd could not start {unit}", log=done.output)


def stop_timer(unit: str) -> None:
    """Let it start nothing any more; what it has started goes on."""
    _systemctl("stop", unit)
    forget_failure(unit)


# $0 is the socket, $1 the time limit, $2 the unit.
_STOP_WHEN_QUIET = """
timeout "$1" sh -c '
  until ss -Hxl src "$0" | { read -r _ _ waiting _ || waiting=0; test "$waiting" -eq 0; }
  do sleep 0.2; done' "$0"
exec systemctl stop --no-block "$2"
"""


def stop_when_quiet(at: Layout, one: Instance) -> bool:
    """Have systemd stop the instance once no connection waits to be accepted, or after the unit's
    own time limit; whether it will. This process need not live that long."""
    unit = at.unit(one)
    seconds = f"{state(unit).stop_seconds:.0f}"
    words = ["/bin/sh", "-c", _STOP_WHEN_QUIET, str(at.socket(one)), seconds, unit]
    how = ["systemd-run", "--quiet", "--collect", "--unit=" + at.drain_unit(one)]
    return children.run(None, [*how, *words], timeout_seconds=_CALL_SECONDS).status == 0


def ends(unit: str, *, within_seconds: float) -> bool:
    """Whether the unit has stopped within this time."""
    end = time.monotonic() + within_seconds
    while not state(unit).is_at_rest:
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def kill(unit: str) -> None:
    """SIGKILL, then stop: only for an instance that never had a request. A plain stop of a hanging
    import takes its whole timeout."""
    _systemctl("kill", "--signal=SIGKILL", unit)
    _systemctl("stop", unit)
    forget_failure(unit)


def log(unit: str, lines: int, since: float) -> str:
    """The unit's last lines in the systemd journal since a time (as `time.time`), without prefixes.
    Everything printed before this call is included (journalctl --sync)."""
    children.run(None, ["journalctl", "--sync"], timeout_seconds=_CALL_SECONDS)
    # Not `-n`: together with --since it means the first lines before systemd 254.
    argv = ["journalctl", "--quiet", "--no-pager", "-o", "cat"]
    done = children.ask(
        [*argv, "--since", f"@{since:.3f}", "-u", unit], timeout_seconds=_CALL_SECONDS
    )
    return "\n".join(done.output.splitlines()[-lines:])


def suspended(main_pid: int) -> int:
    """The number of gunicorn's processes that are stopped by a signal (SIGSTOP, SIGTSTP): they
    exist, but do nothing (state T of proc(5))."""
    pids = [main_pid, *worker_pids(main_pid)] if main_pid else []
    states = [proc(pid, "stat").rpartition(")")[2].split() for pid in pids]
    return sum(state[:1] == ["T"] for state in states)


def memory_of_processes(main_pid: int) -> Optional[int]:
    """Memory in bytes of the main process and its descendants, for systems without memory
    accounting for units; None if it does not run.

    Shared memory counts once (Pss of smaps_rollup, Linux 4.14), or else once per process (VmRSS).
    """
    found, waiting = 0, [main_pid]
    while waiting:
        pid = waiting.pop()
        found += _kilobytes(pid, "smaps_rollup", "Pss:") or _kilobytes(pid, "status", "VmRSS:")
        waiting += worker_pids(pid)
    return found * 1024 if found else None


def worker_pids(main_pid: int) -> List[int]:
    """The child processes of a main process; none if it does not run."""
    return [int(word) for word in proc(main_pid, f"task/{main_pid}/children").split()]


def proc(pid: int, name: str) -> str:
    """The text of a file about a process (proc(5)); "" if the process has ended, or if the kernel
    has no such file."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _kilobytes(pid: int, name: str, field: str) -> int:
    lines = proc(pid, name).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)


def is_booted() -> bool:
    """Whether systemd is this host's init (sd_booted(3))."""
    return os.path.isdir("/run/systemd/system")
