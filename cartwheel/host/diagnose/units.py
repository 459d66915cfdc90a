"""What systemd says about the app's units, and what each running instance uses.

Kinds of its signs, each about PROCESS and how: `unit-memory` (the kernel ended a process of it),
`unit-died` (the main process ended by itself), `unit-restart` (systemd started it again),
`unit-timeout`, `unit-failed` (systemd could not do it), `tasks-refused`, `unit-stopped` (by
somebody else than Cartwheel; the changes say who).
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Optional, Sequence, Set, Tuple

from cartwheel.host.diagnose import journal_entries
from cartwheel.host.diagnose.app_log import label, live_release
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.diagnose.journal_entries import Entry
from cartwheel.host.diagnose.tally import Tally
from cartwheel.host.layout import Layout
from cartwheel.host.process.parts import named
from cartwheel.host.state import journal
from cartwheel.host.system import children, systemd
from cartwheel.host.system.context import Context
from cartwheel.host.wire.diagnosis import Change, Sign, Use
from cartwheel.host.wire.instance import WEB, Instance

_MOST_ENTRIES, _SECONDS = 6000, 1.2
_MOST_PEOPLE, _PEOPLE_SECONDS = 1000, 0.7
_CALL_SECONDS = 1.0
# Their lines say who did something: sudo's command, polkit's permission, a login.
_PEOPLE = ("sudo", "su", "polkitd", "sshd", "sshd-session", "systemd-logind", "login")
_NEAR_SECONDS = 15.0
_LOGIN_SECONDS = 3600.0
# What a session asked systemd for may begin just after its end.
_AFTER_SECONDS = 10.0
# A longer session only shows something, unless the history has what it did.
_LONG_SECONDS = 900.0

# The first that fits; the first group that is there says how.
_KINDS: "Tuple[Tuple[str, re.Pattern[str]], ...]" = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("unit-memory", r"killed by the OOM killer|result 'oom-kill'"),
        ("unit-failed", r"Failed at step (\w+ spawning \S+: .+)"),
        ("unit-died", r"Main process exited, code=\w+, status=(\S+)"),
        ("unit-restart", r"Scheduled restart job, restart counter is at|Start request repeated"),
        ("tasks-refused", r"pids controller"),
        (
            "unit-timeout",
            r"\b(start|stop|watchdog|reload|abort)\b[\w' -]*(?:timed out|timeout)"
            r"|State '(stop)-\w+' timed out|(Watchdog) timeout"
            r"|(Processes still around) after (?:final )?SIGKILL",
        ),
        (
            "unit-failed",
            r"Failed with result '(resources|protocol|exec-condition|start-limit-hit|dependency)'"
            r"|Failed to (load environment files: .+|run '\S+' task: .+|spawn \S+: .+)"
            r"|(bad unit file setting)|Failed to start [^:]*: (.+)",
        ),
    )
)
_SESSION = re.compile(r"cartwheel-(?:session|verify)-")
_BEGINS = ("Starting ", "Started ")
_BOOT_ENDS = ("Finished ", "Failed to start ", "Stopped ")
_COMMAND = re.compile(r"^\s*(\S+) : .*\bCOMMAND=(.*)$")
_CONTROLS = re.compile(r"\b(?:systemctl|service|kill|pkill|killall|reboot|shutdown)\b")
_LOGIN = re.compile(r"Accepted \S+ for (\S+) from (\S+)|New session \S+ of user (\S+?)\.?$")
_POLKIT = re.compile(r"(?:Operator|Registered|owned by|authenticated as) (?:of )?unix-user:(\w+)")
# A worker of an app that is asked to stop ends by this signal, if it does nothing about it.
_ORDINARY = frozenset(("TERM", "15/TERM", "0/SUCCESS", "INT"))


def look(ctx: Context, window: Window) -> Found:
    """Read what systemd wrote about the units, and measure the instances."""
    at, unread = ctx.at, []
    before, looked = _sockets(), time.monotonic()
    mine = journal_entries.read(window, ["_PID=1"], _MOST_ENTRIES, _SECONDS)
    if mine.cut is not None:
        ago = window.until - mine.cut
        unread.append(f"systemd's messages older than {ago:.0f} s: there are too many")
    names = [f"SYSLOG_IDENTIFIER={one}" for one in _PEOPLE]
    people = journal_entries.read(window, names, _MOST_PEOPLE, _PEOPLE_SECONDS)
    done = [one.at or 0.0 for one in journal.read(at.journal)]
    signs, changes = judge(at, mine.entries, people.entries, done)
    time.sleep(max(0.0, looked + _BETWEEN_SECONDS - time.monotonic()))
    used = uses(at, before, _sockets())
    return Found(signs=signs, uses=used, changes=changes, unread=tuple(unread))


def judge(
    at: Layout, mine: Sequence[Entry], people: Sequence[Entry], done: Sequence[float]
) -> Tuple[Tuple[Sign, ...], Tuple[Change, ...]]:
    """What systemd's entries mean. `people`: who did what; `done`: when Cartwheel itself did
    something."""
    tally, changes, live = Tally(), [], live_release(at)
    busy = _Sessions(at, mine, done)
    for entry in mine:
        instance = at.instance_of(entry.unit)
        job = at.job_of(entry.unit)
        if instance is None and job is None:
            continue
        process = instance.process if instance else f"timer {job[0]}" if job else ""
        known = kind_of(entry.text)
        if known:
            named = label(at, entry.unit, live) or process
            tally.add(known[0], f"{named} {known[1]}".strip(), entry.at, [entry.text])
            continue
        change = _by_hand(entry, process, people) if instance else None
        if change and not busy.at(entry.at):
            changes.append(change)
            if change.detail.endswith("stopped by hand"):
                by = [f"by {change.who}"] if change.who else []
                tally.add("unit-stopped", process, entry.at, [entry.text, *by])
    return tally.signs(), tuple(_pairs(changes))


def kind_of(text: str) -> Optional[Tuple[str, str]]:
    """What a message of systemd says is wrong, and how; None if nothing is."""
    for kind, pattern in _KINDS:
        found = pattern.search(text)
        if found:
            how = next(filter(None, found.groups()), "") if found.groups() else ""
            return None if how in _ORDINARY else (kind, how)
    return None


class _Sessions:
    """When Cartwheel was at work on this host: its sessions are units too."""

    def __init__(self, at: Layout, mine: Sequence[Entry], done: Sequence[float]) -> None:
        self._done = done
        self._spans: List[List[float]] = []
        opened: Dict[str, List[float]] = {}
        for entry in mine:
            is_boot = entry.unit == at.boot_unit.name
            is_mine = is_boot or _SESSION.match(entry.unit)
            if not is_mine and at.drained_by(entry.unit) is None:
                continue
            if entry.text.startswith(_BEGINS):  # a release may drain twice, under one name
                opened.pop(entry.unit, None)
            if entry.unit not in opened:
                opened[entry.unit] = [entry.at, entry.at]
                self._spans.append(opened[entry.unit])
            opened[entry.unit][1] = entry.at
            # Every boot has this unit: what is between two of them is no work of it.
            if is_boot and entry.text.startswith(_BOOT_ENDS):
                del opened[entry.unit]

    def at(self, when: float) -> bool:
        """Whether what happened then may have been Cartwheel's doing."""
        near = any(abs(when - one) <= _NEAR_SECONDS for one in self._done)
        return near or any(
            begin - 1.0 <= when <= end + _AFTER_SECONDS and self._acts(begin, end)
            for begin, end in self._spans
        )

    def _acts(self, begin: float, end: float) -> bool:
        did = any(begin <= one <= end + _NEAR_SECONDS for one in self._done)
        return did or end - begin < _LONG_SECONDS


def _by_hand(entry: Entry, process: str, people: Sequence[Entry]) -> Optional[Change]:
    """A stop or a start that somebody asked for, and who may have been that. What systemd does by
    itself begins with another message, which says so."""
    for word, what in (("Stopping ", "stopped"), ("Starting ", "started")):
        if entry.text.startswith(word):
            return Change(entry.at, "restart", f"{process}: {what} by hand", _who(entry.at, people))
    return None


def _pairs(changes: Sequence[Change]) -> Iterator[Change]:
    """A stop with the start that follows it at once is a restart. systemd starts a unit by itself
    after a crash: a start alone says nothing."""
    skipped = -1
    for number, one in enumerate(changes):
        if number == skipped or "started" in one.detail:
            continue
        after = changes[number + 1] if number + 1 < len(changes) else None
        process = one.detail.partition(":")[0]
        if after and after.detail.startswith(f"{process}: started") and after.at - one.at < 120.0:
            skipped = number + 1
            yield Change(one.at, one.kind, f"{process}: restarted by hand", one.who)
        else:
            yield one


def _who(at: float, people: Sequence[Entry]) -> str:
    """Who gave a command just before, or else who was logged in last."""
    login = ""
    for one in reversed(people):
        ago = at - one.at
        if ago < -1.0:
            continue
        command, seen = _COMMAND.match(one.text), _LOGIN.search(one.text)
        if command and ago <= _NEAR_SECONDS and _CONTROLS.search(command.group(2)):
            return f"{command.group(1)} (sudo {command.group(2).strip()})"
        polkit = _POLKIT.search(one.text)
        if polkit and ago <= _NEAR_SECONDS:
            return polkit.group(1)
        if seen and not login and ago <= _LOGIN_SECONDS:
            who = seen.group(1) or seen.group(3)
            login = f"perhaps {who}, logged in from {seen.group(2)}" if seen.group(2) else who
    return login


# -- what instances use

_PROPERTIES = (
    "Id,ActiveState,Result,NRestarts,MainPID,ActiveEnterTimestamp,MemoryCurrent,MemoryMax"
    ",TasksCurrent,TasksMax,ControlGroup"
)
_CGROUPS = "/sys/fs/cgroup"
_MOST_PROCESSES = 200
# A request that nobody has read for so long waits for a worker: those of a healthy app are read
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


def uses(at: Layout, before: Dict[str, Sockets], now: Dict[str, Sockets]) -> Tuple[Use, ...]:
    """What each instance uses that is not at rest, with its sockets of two looks."""
    running = sorted(systemd.units(at).active)
    units = {at.unit(one): one for one in running}
    if not units:
        return ()
    argv = ["systemctl", "show", "--timestamp=unix", f"--property={_PROPERTIES}", *units]
    shown = children.ask(argv, timeout_seconds=_CALL_SECONDS).output
    if "=" not in shown:  # before systemd 247 there is no such option
        shown = children.ask([argv[0], argv[1], *argv[3:]], timeout_seconds=_CALL_SECONDS).output
    found = []
    for block in shown.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        one = units.get(values.get("Id", ""))
        if one is not None and values.get("ActiveState") not in ("inactive", None):
            found.append(_use(one, values, own(at, one, before), own(at, one, now)))
    return tuple(found)


def own(at: Layout, one: Instance, found: Dict[str, Sockets]) -> Sockets:
    """The connections of an instance. Only web has a socket; others of the release have the same
    slot."""
    return found.get(str(at.socket(one)), Sockets()) if one.process == WEB else Sockets()


def _use(one: Instance, values: Dict[str, str], before: Sockets, now: Sockets) -> Use:
    main = int(values.get("MainPID") or 0)
    group = _Group(values.get("ControlGroup", ""))
    pids = group.pids() or ([main, *systemd.worker_pids(main)] if main else [])
    files, files_max = _files(pids)
    began = values.get("ActiveEnterTimestamp", "").lstrip("@")
    return Use(
        process=named(one),
        label=one.label,
        active=values.get("ActiveState", ""),
        result=values.get("Result", ""),
        restarts=int(values.get("NRestarts") or 0),
        started=float(began) if began.isdigit() else None,
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
