"""What each running instance uses: memory, files, connections."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Set, Tuple

from cartwheel.host.diagnose.found import Found, Window, described
from cartwheel.host.layout import Layout
from cartwheel.host.process.parts import named
from cartwheel.host.system import children, systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.diagnosis import Use
from cartwheel.host.wire.instance import WEB, Instance

_CALL_SECONDS = 1.0
_PROPERTIES = "Id,ActiveState,MainPID,MemoryCurrent,MemoryMax,TasksCurrent,TasksMax,ControlGroup"
_CGROUPS = "/sys/fs/cgroup"
_MOST_PROCESSES = 200
# A request that nobody has read for this long waits for a worker: those of a healthy app are read
# within milliseconds.
_BETWEEN_SECONDS = 0.8
_COLUMNS = 8


@dataclass
class Sockets:
    """The connections on the path of a socket. `queue`: how many wait to be accepted, `queue_max`:
    how many may; None: nobody listens. `unread` and `read`: the inodes of those that were accepted,
    by whether something of their request is unread; `left`: those whose other side has gone."""

    queue: Optional[int] = None
    queue_max: Optional[int] = None
    unread: Set[str] = field(default_factory=set)
    read: Set[str] = field(default_factory=set)
    left: Set[str] = field(default_factory=set)


def look(ctx: Context, window: Window) -> Found:
    """Measure the instances. What the host does not show of them is unknown, and is named."""
    at, unread = ctx.at, []
    before: Dict[str, Sockets] = {}
    now: Dict[str, Sockets] = {}
    try:
        first, looked = _sockets(), time.monotonic()
        time.sleep(max(0.0, looked + _BETWEEN_SECONDS - time.monotonic()))
        before, now = first, _sockets()
    except OpError as error:
        unread.append(f"connections of the app: {described(error)}")
    states = systemd.units(at).active
    units = {at.unit(one): one for one in sorted(states)}
    try:
        shown = _shown(list(units))
    except OpError as error:
        unread.append(f"memory and limits of the app: {described(error)}")
        shown = {unit: {"ActiveState": states[one]} for unit, one in units.items()}
    found = []
    for unit, values in shown.items():
        if unit in units and values.get("ActiveState") not in ("inactive", None):
            one = units[unit]
            found.append(_use(one, values, own(at, one, before), own(at, one, now)))
    return Found(uses=tuple(found), unread=tuple(unread))


def _shown(units: Sequence[str]) -> Dict[str, Dict[str, str]]:
    """What systemd knows of each."""
    if not units:
        return {}
    argv = ["systemctl", "show", f"--property={_PROPERTIES}", *units]
    shown = children.ask(argv, timeout_seconds=_CALL_SECONDS).output
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in shown.split("\n\n")
    ]
    return {block["Id"]: block for block in blocks if "Id" in block}


def own(at: Layout, one: Instance, found: Dict[str, Sockets]) -> Sockets:
    """The connections of an instance. Only web has a socket; others of the release have the same
    slot."""
    return found.get(str(at.socket(one)), Sockets()) if one.process == WEB else Sockets()


def _use(one: Instance, values: Dict[str, str], before: Sockets, now: Sockets) -> Use:
    main = int(values.get("MainPID") or 0)
    group = _Group(values.get("ControlGroup", ""))
    pids = group.pids() or ([main, *systemd.worker_pids(main)] if main else [])
    files, files_max = _files(pids)
    return Use(
        process=named(one),
        label=one.label,
        active=values.get("ActiveState", ""),
        memory=_number(values.get("MemoryCurrent")) or systemd.memory_of_processes(main),
        memory_max=_number(values.get("MemoryMax")),
        out_of_memory=group.events("memory.events").get("oom_kill", 0),
        tasks=_number(values.get("TasksCurrent")) or _threads(pids),
        tasks_max=_number(values.get("TasksMax")),
        files=files,
        files_max=files_max,
        workers=len(systemd.worker_pids(main)) if main else 0,
        queue=None if now.queue is None else min(now.queue, before.queue or 0),
        queue_max=now.queue_max,
        throttled=group.throttled(),
        waiting=len(now.unread & before.unread),
        answering=len(now.read),
        left=len(now.left),
    )


@dataclass(frozen=True)
class _Group:
    """The files of a unit's control group; without such a controller there are none."""

    name: str

    def pids(self) -> List[int]:
        text = self._text("cgroup.procs")
        return [int(one) for one in text.split() if one.isdigit()][:_MOST_PROCESSES]

    def events(self, name: str) -> Dict[str, int]:
        rows = (line.split() for line in self._text(name).splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}

    def throttled(self) -> Optional[float]:
        stat = self.events("cpu.stat")
        periods = stat.get("nr_periods", 0)
        return stat.get("nr_throttled", 0) / periods if periods else None

    def _text(self, name: str) -> str:
        if self.name.strip("/"):
            with (
                contextlib.suppress(OSError),
                open(f"{_CGROUPS}{self.name}/{name}", encoding="ascii", errors="replace") as file,
            ):
                return file.read(1 << 16)
        return ""


def _number(text: Optional[str]) -> Optional[int]:
    """A number of systemd's; None for `[not set]`, `infinity` and 2^64-1."""
    if text is None or not text.isdigit() or int(text) >= 1 << 62:
        return None
    return int(text)


def _files(pids: Sequence[int]) -> Tuple[Optional[int], Optional[int]]:
    """The open files of the process that has most of them, and its limit."""
    most, limit = -1, None
    for pid in pids:
        count = 0
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            count = sum(1 for _entry in entries)
        if count > most:
            row = re.search(r"^Max open files\s+(\d+)", systemd.proc(pid, "limits"), re.MULTILINE)
            most, limit = count, int(row.group(1)) if row else None
    return (most, limit) if most >= 0 else (None, None)


def _threads(pids: Sequence[int]) -> Optional[int]:
    found = [
        re.search(r"^Threads:\s+(\d+)", systemd.proc(pid, "status"), re.MULTILINE) for pid in pids
    ]
    return sum(int(one.group(1)) for one in found if one) or None


def _sockets() -> Dict[str, Sockets]:
    return sockets_of(children.ask(["ss", "-xaH"], timeout_seconds=_CALL_SECONDS).output)


def sockets_of(shown: str) -> Dict[str, Sockets]:
    """What `ss -xa` shows of unix sockets, by their path: Netid State Recv-Q Send-Q Path Inode Peer
    and the peer's inode, 0 if that has gone."""
    found: Dict[str, Sockets] = {}
    for row in (line.split() for line in shown.splitlines()):
        if len(row) < _COLUMNS or row[4] == "*" or not (row[2].isdigit() and row[3].isdigit()):
            continue
        one = found.setdefault(row[4], Sockets())
        if row[1] == "LISTEN":
            one.queue, one.queue_max = int(row[2]), int(row[3])
        elif row[1] == "ESTAB":
            (one.unread if int(row[2]) else one.read).add(row[5])
            if row[7] == "0":
                one.left.add(row[5])
    return found
