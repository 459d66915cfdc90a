"""What systemd says about the app's units.

Kinds of its signs, each about PROCESS and how: `unit-memory` (the kernel ended a process of it),
`unit-died` (the main process ended by itself), `unit-restart` (systemd started it again),
`unit-timeout`, `unit-failed` (systemd could not do it), `tasks-refused`, `unit-stopped` (by
somebody else than Cartwheel; the changes say who).
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from cartwheel.host.diagnose import journal_entries
from cartwheel.host.diagnose.app_log import label, live_release
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.diagnose.journal_entries import Entry
from cartwheel.host.diagnose.tally import Tally
from cartwheel.host.layout import Layout
from cartwheel.host.state import journal
from cartwheel.host.system.context import Context
from cartwheel.host.wire.diagnosis import Change, Sign

_MOST_ENTRIES, _SECONDS = 6000, 1.2
_MOST_PEOPLE, _PEOPLE_SECONDS = 1000, 0.7
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
_KILLED = ("unit-died", "9/KILL")
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
    """Read what systemd wrote about the units, and who was at work then."""
    at, unread = ctx.at, []
    mine = journal_entries.read(window, ["_PID=1"], _MOST_ENTRIES, _SECONDS)
    if mine.cut is not None:
        ago = window.until - mine.cut
        unread.append(f"systemd's messages older than {ago:.0f} s: there are too many")
    names = [f"SYSLOG_IDENTIFIER={one}" for one in _PEOPLE]
    people = journal_entries.read(window, names, _MOST_PEOPLE, _PEOPLE_SECONDS)
    done = [one.at or 0.0 for one in journal.read(at.journal)]
    signs, changes = judge(at, mine.entries, people.entries, done)
    return Found(signs=signs, changes=changes, unread=tuple(unread))


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
        if known == _KILLED and instance and instance.release != live and busy.at(entry.at):
            continue  # a release that failed its health check is ended so
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
            # Each boot starts this unit again. It does nothing in between.
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
