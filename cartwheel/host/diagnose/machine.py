"""The host as a whole: load, memory, clock, and what was replaced below the running app."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.system import children, systemd
from cartwheel.host.system.context import Context, OpError, boottime
from cartwheel.host.wire.diagnosis import Machine

_ASK_SECONDS = 2.0
_TIME_SERVICES = (
    *("systemd-timesyncd.service", "chrony.service", "chronyd.service"),
    *("ntpsec.service", "ntp.service", "ntpd.service", "openntpd.service"),
)
_KERNEL = re.compile(r"vmlinuz-(\d[^/]*)\Z")
_NUMBERS = re.compile(r"\d+|[a-z]+")
_MOST_REPLACED = 6
# Only a file of code that is mapped to be run counts: caches and data are replaced all the time.
_CODE = re.compile(r"\.so(?:\.[\d.]+)*\Z|/s?bin/|/python[\d.]*\Z")
_REBOOT = "reboot-required"


def look(ctx: Context, window: Window) -> Found:
    """What the kernel and systemd say about the host."""
    memory = _memory()
    load = _words("/proc/loadavg")
    files = _words("/proc/sys/fs/file-nr")
    synchronized, service, since = clock()
    machine = Machine(
        cpus=os.cpu_count() or 1,
        load=float(load[0]) if load else 0.0,
        memory=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
        swap=memory.get("SwapTotal", 0),
        swap_free=memory.get("SwapFree", 0),
        files=int(files[0]) if files else 0,
        files_max=int(files[2]) if len(files) > 2 else 0,
        synchronized=synchronized,
        kernel=os.uname().release,
        newest_kernel=newest_kernel(),
        waiting=pressure("io", "full"),
        memory_waiting=pressure("memory", "full"),
        cpu_waiting=pressure("cpu", "some"),
        time_service=service,
        time_service_seconds=since,
        replaced=replaced(ctx),
        restart_wanted=restart_wanted(),
    )
    return Found(machine=machine)


def _words(path: str) -> List[str]:
    return _text(path).split()


def _text(path: str) -> str:
    """ "" where the kernel has no such file."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _memory() -> Dict[str, int]:
    """/proc/meminfo in bytes (proc_meminfo(5))."""
    lines = (line.split() for line in _text("/proc/meminfo").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1}


def booted() -> float:
    """When the first process was started; a container boots later than its machine."""
    fields = _text("/proc/1/stat").rpartition(")")[2].split()
    ticks = int(fields[19]) if len(fields) > 19 else 0  # starttime, the 22nd field (proc(5))
    return time.time() - boottime() + ticks / os.sysconf("SC_CLK_TCK")


def pressure(what: str, who: str) -> Optional[float]:
    """The part of the last minute in which `some` or all (`full`) tasks waited for it; None where
    the kernel does not count that (Documentation/accounting/psi.rst)."""
    found = re.search(rf"^{who} .*avg60=([\d.]+)", _text(f"/proc/pressure/{what}"), re.MULTILINE)
    return float(found.group(1)) / 100 if found else None


# --- the clock ----------------------------------------------------------------------------


def clock() -> Tuple[Optional[bool], str, Optional[float]]:
    """Whether the clock is synchronized, by which service, and how long that has run. None where
    nothing on this host is meant to set it: in a container the machine does."""
    try:
        states = systemd.states(list(_TIME_SERVICES))
    except OpError:
        return None, "", None
    running = {unit: state for unit, state in states.items() if state.is_up}
    if not running:
        return None, "", None
    unit, state = next(iter(running.items()))
    since = state.since_monotonic
    seconds = time.monotonic() - since if since is not None else None
    return _synchronized(), unit, seconds


def _synchronized() -> Optional[bool]:
    argv = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        answer = children.ask(argv, timeout_seconds=_ASK_SECONDS).output.strip()
    except OpError:
        return None
    return {"yes": True, "no": False}.get(answer)


# --- what was replaced --------------------------------------------------------------------


def newest_kernel(boot: str = "/boot") -> str:
    """Of those that are installed; "" where none is, as in a container."""
    try:
        names = os.listdir(boot)
    except OSError:
        return ""
    found = [match.group(1) for match in map(_KERNEL.match, names) if match]
    return max(found, key=_order, default="")


def _order(kernel: str) -> "list[tuple[int, str]]":
    """Numbers by their value: 6.1.0-9 is before 6.1.0-37."""
    words = _NUMBERS.findall(kernel)
    return [(int(word), "") if word.isdigit() else (-1, word) for word in words]


def restart_wanted(folder: str = "/run") -> Tuple[str, ...]:
    """The packages that ask for a reboot, as Debian's and Ubuntu's update-notifier writes them."""
    if not os.path.exists(f"{folder}/{_REBOOT}"):
        return ()
    names = _text(f"{folder}/{_REBOOT}.pkgs").split()
    return tuple(dict.fromkeys(names)) or ("a package",)


def replaced(ctx: Context) -> Tuple[str, ...]:
    """Programs and libraries that the app's processes run from files that are gone."""
    found: Dict[str, None] = {}
    for pid in _pids(ctx):
        for line in _text(f"/proc/{pid}/maps").splitlines():
            if line.endswith(" (deleted)") and " r-xp " in line:
                path = line.split(None, 5)[5][: -len(" (deleted)")]
                if _CODE.search(path):
                    found[path] = None
        if len(found) >= _MOST_REPLACED:
            break
    return tuple(sorted(found)[:_MOST_REPLACED])


def _pids(ctx: Context) -> Iterator[int]:
    """The main processes of what runs of the app, and their children."""
    try:
        running = systemd.instances(ctx.at)
        states = systemd.states([ctx.at.unit(one) for one in running])
    except OpError:
        return
    for state in states.values():
        if state.main_pid:
            yield state.main_pid
            yield from systemd.worker_pids(state.main_pid)[:1]
