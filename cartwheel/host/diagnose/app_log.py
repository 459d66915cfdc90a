"""What the app and gunicorn wrote into the journal, and the jobs of timers into their files.

Kinds of its signs: `exception` (TYPE at PLACE) and `error` (a text without its numbers), both only
for what is none of the others; `worker-timeout`, `worker-stuck` (the place where it was),
`worker-memory`, `worker-died` (PROCESS and how) and `worker-boot` of gunicorn; `files`, `threads`,
`no-space`, `read-only`, `permission`, `memory`, `tls`, `setting`, `host-refused`, `names` and
`service` (see `wording` and `services_named`), `blocked`; `flood` (the lines of a process in a
minute), `flood-text` (those of them that say the same) and `flood-lost` (what journald threw away).
"""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Dict, List, Optional, Sequence, Set, Tuple

from cartwheel.host.diagnose import journal_entries, services_named, wording
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.diagnose.journal_entries import Entry, Read
from cartwheel.host.diagnose.places import Places
from cartwheel.host.diagnose.said import Said, Speaker
from cartwheel.host.diagnose.tally import Tally
from cartwheel.host.layout import RUNNING_OUTPUT, Layout
from cartwheel.host.look import log_journal
from cartwheel.host.state import releases, timers
from cartwheel.host.system import files
from cartwheel.host.system.context import Context

# A host of two processors reads and judges this many in about a second.
_MOST_ENTRIES = 25000
_SECONDS = 2.2
# Before those, the last of each of the times between these.
_SAMPLED_SECONDS = (30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
_MOST_SAMPLED, _SAMPLE_SECONDS = 4000, 0.4
_MOST_LOST, _LOST_SECONDS = 200, 0.8
_LINE_CHARACTERS = 4000
_OUTPUT_BYTES = 128 << 10
_MOST_OUTPUTS = 6

_TIMEOUT = re.compile(r"WORKER TIMEOUT \(pid:\s*(\d+)\)")
_SENT = re.compile(
    r"Worker \(pid:\s*(\d+)\) was sent SIG(\w+)!|Worker with pid (\d+) was terminated"
)
_ENDED_BY = re.compile(r"terminated due to signal (\w+)")
_EXITED = re.compile(r"Worker \(pid:\s*(\d+)\) exited with code (-?\d+)")
_STOPS = re.compile(r"Handling signal: (?:term|int|quit|hup|winch|usr2)|Shutting down: Master")
_BOOT = re.compile(
    r"Exception in worker process|Worker failed to boot|Application startup failed\. Exiting"
    r"|ASGI lifespan startup failed|Reason: App failed to load|Failed to find attribute '"
    r"|Error loading ASGI app"
)
_PREFIX = re.compile(r"^\[[\d :+-]+\] \[\d+\] \[[A-Z]+\] ")
_REASON_SECONDS = 5.0
_LOADS = frozenset(("import_app", "load_wsgiapp", "load_wsgi"))
# What an ASGI app does before it serves.
_STARTUP = re.compile("startup|lifespan")
_BLOCKED = re.compile(r"Executing <(?:Task|Handle)\b.{0,2000} took (\d+\.\d+) seconds", re.DOTALL)
_STEP = re.compile(r"Failed at step (\w+ spawning \S+: .+)")
_SUPPRESSED = re.compile(r"Suppressed (\d+) messages from (\S+)")
# A worker that was asked to end has these.
_ASKED = frozenset(("TERM", "INT", "QUIT", "HUP", "15", "2", "3", "1"))
_KILLED = frozenset(("KILL", "9"))
_SIGNALS = {"6": "ABRT", "7": "BUS", "9": "KILL", "11": "SEGV", "4": "ILL", "8": "FPE"}
# gunicorn's own exit codes: a worker could not boot, the app could not be loaded.
_BOOT_CODES = ("3", "4")
_GRAVE = frozenset(("ERROR", "CRITICAL", "FATAL"))

_HEAD = re.compile(
    r"^(?:\[?\d{4}-\d\d-\d\d[T ][\d:.,]+(?: ?[+-]\d{4}|Z)?\]?|\[\d+\]|\[?[A-Z]{4,8}\]?:?|[\s:|-]+)+"
)
_QUOTED = re.compile(r"'[^']{1,200}'|\"[^\"]{1,200}\"")
_VALUES = re.compile(r"\b(?:0x)?(?=[0-9a-f-]*\d)[0-9a-f][0-9a-f-]{5,}\b|\d+", re.IGNORECASE)
# Of each kind, before those of one folder are joined.
_MOST_FILES = 40
_SAMPLE = 16
_MOST_SHAPES = 400
_MINUTE = 60.0


def look(ctx: Context, window: Window) -> Found:
    """The messages of all instances in that time, and of the timers' jobs."""
    at, began = ctx.at, time.monotonic()
    log, unread = AppLog(at), []
    units = log_journal.of_app(at).units
    read = journal_entries.read(window, units, _MOST_ENTRIES, _SECONDS)
    if read.cut is not None:
        for older in _samples(Window(window.since, read.cut), units, began):
            for entry in older.entries:
                log.take(entry, is_counted=False)
        ago = window.until - read.cut
        unread.append(f"most of the app's messages older than {ago:.0f} s: there are too many")
    for entry in read.entries:
        log.take(entry)
    log.end()
    lost = journal_entries.read(
        window, ["SYSLOG_IDENTIFIER=systemd-journald"], _MOST_LOST, _LOST_SECONDS
    )
    for entry in lost.entries:
        log.lose(entry)
    _read_outputs(at, window, log)
    return Found(signs=log.tally.signs(), unread=tuple(unread))


def _samples(window: Window, units: List[str], began: float) -> List[Read]:
    """Some of the messages before those of a flood, oldest first: what was wrong before it began
    must not be hidden by it."""
    points = [window.until - ago for ago in _SAMPLED_SECONDS]
    points = [*(one for one in points if one > window.since), window.since]
    found = []
    for number, since in enumerate(points[1:]):
        seconds = min(_SAMPLE_SECONDS, _SECONDS - (time.monotonic() - began))
        if seconds > 0.0:
            part = Window(since, points[number])
            found.append(journal_entries.read(part, units, _MOST_SAMPLED, seconds))
    return found[::-1]


def _read_outputs(at: Layout, window: Window, log: "AppLog") -> None:
    """What the jobs of timers printed. Their lines have no times: that of the file stands in."""
    found = []
    for timer in files.names(at.outputs):
        for name in files.names(at.outputs / timer):
            if name != RUNNING_OUTPUT and not name.endswith(".log"):
                continue
            try:
                when = (at.outputs / timer / name).stat().st_mtime
            except OSError:
                continue
            if when >= window.since:
                found.append((when, timer, name))
    for when, timer, name in sorted(found)[-_MOST_OUTPUTS:]:
        try:
            text = timers.tail(at.outputs / timer / name, _OUTPUT_BYTES)
        except OSError:
            continue
        log.print(f"timer {timer}", when, text.decode("utf-8", "replace"))


def live_release(at: Layout) -> str:
    """The release that should be live; "" if there is none."""
    return releases.pointed(at.current) or ""


def label(at: Layout, unit: str, live: str) -> str:
    """An instance's process, with its release if that is not the live one: `web@1.0.bb13a6fd`. What
    a release could not do whose deploy failed is no fault of the one that is live."""
    one = at.instance_of(unit)
    if one is None:
        return ""
    return one.process if not live or one.release == live else f"{one.process}@{one.release}"


class AppLog:
    """Counts what the entries of the app's units say. `tally`: the result."""

    def __init__(self, at: Layout) -> None:
        self.tally = Tally()
        self._at = at
        self._places = Places(at)
        self._speakers: Dict[str, Speaker] = {}
        self._processes: Dict[str, str] = {}
        self._labels: Dict[str, str] = {}
        self._live = live_release(at)
        self._silent: Set[str] = set()
        self._exited: Set[str] = set()
        self._stopping: Set[str] = set()
        self._last: Dict[str, Said] = {}
        self._reasons: Dict[str, Tuple[List[str], Optional[Tuple[str, str]]]] = {}
        self._rates: Dict[str, _Rate] = {}

    def take(self, entry: Entry, *, is_counted: bool = True) -> None:
        """Judge an entry of the journal. `is_counted`: it is one of all, not one of a choice."""
        if entry.pid == "1":
            return  # systemd's own are looked at by `units`
        process = self._process(entry.unit)
        if not process:
            return
        if entry.pid not in self._labels:
            self._labels[entry.pid] = label(self._at, entry.unit, self._live)
        for line in entry.text.split("\n"):
            if is_counted:
                self._count(process, entry.at, line)
            self._line(process, entry.pid, entry.at, line[:_LINE_CHARACTERS])

    def print(self, process: str, at: float, text: str) -> None:
        """Count what a job printed."""
        speaker = Speaker()
        for line in text.splitlines():
            for one in speaker.take(at, line[:_LINE_CHARACTERS]):
                self._judge(process, "", one)
        for one in speaker.end():
            self._judge(process, "", one)

    def lose(self, entry: Entry) -> None:
        """Count what journald threw away of an instance's lines."""
        found = _SUPPRESSED.search(entry.text)
        process = self._process(found.group(2)) if found else ""
        if found and process:
            self.tally.add("flood-lost", process, entry.at, [entry.text], int(found.group(1)))

    def end(self) -> None:
        """No more entries of the journal will come."""
        for pid, speaker in self._speakers.items():
            for one in speaker.end():
                self._judge(self._processes[pid], pid, one)
        for kind in wording.ABOUT_FILES:
            self.tally.join(kind)
        for process, rate in self._rates.items():
            rate.count_into(self.tally, process)

    def _process(self, unit: str) -> str:
        instance = self._at.instance_of(unit)
        return instance.process if instance else ""

    def _count(self, process: str, at: float, line: str) -> None:
        rate = self._rates.get(process)
        if rate is None:
            rate = self._rates[process] = _Rate()
        rate.take(at, line)

    def _line(self, process: str, pid: str, at: float, line: str) -> None:
        speaker = self._speakers.get(pid)
        if speaker is None:
            speaker = self._speakers[pid] = Speaker()
            self._processes[pid] = process
        if speaker.is_inside or wording.NOTABLE.search(line):
            ended = speaker.take(at, line)
        else:
            ended = speaker.end()
        for one in ended:
            self._judge(process, pid, one)

    def _judge(self, process: str, pid: str, said: Said) -> None:
        """What one message means."""
        if self._of_gunicorn(process, pid, said):
            return
        how = _STEP.search(said.text)
        if how:  # written by the process that was to become the app, in systemd's words
            named = self._labels.get(pid, process)
            self.tally.add("unit-failed", f"{named} {how.group(1)}", said.at, [said.text])
            return
        lines = self._lines(said)
        stuck = any(frame.name == "handle_abort" for one in said.raised for frame in one.frames)
        if stuck:
            self.tally.add("worker-stuck", self._stuck_in(said), said.at, lines)
            return
        is_boot = _is_loading(said) or (_BOOT.search(said.text) is not None and not _served(said))
        if is_boot:
            self._boot(process, pid, said)
        if said.raised:
            self._last[pid] = said
        self._kind(process, said, lines, is_boot=is_boot)

    def _kind(self, process: str, said: Said, lines: Sequence[str], *, is_boot: bool) -> None:
        add, whole = self.tally.add, said.whole
        known = _known(said, process)
        if known:
            kind, about = known
            add(kind, about, said.at, lines)
            if kind in wording.ABOUT_FILES and self.tally.number(kind) > _MOST_FILES:
                self.tally.join(kind)
        elif _BLOCKED.search(whole):
            add("blocked", process, said.at, lines)
        elif wording.is_harmless(said) or is_boot:
            return
        elif said.raised:
            first = said.raised[0]
            where = self._places.of(said)
            about = f"{first.type}{f' at {where}' if where else ''}"
            add("exception", about, said.at, lines, process=process)
        elif said.level in _GRAVE:
            add("error", shape(said.text), said.at, lines)

    def _of_gunicorn(self, process: str, pid: str, said: Said) -> bool:
        """Whether it is gunicorn's own message about its processes, which is counted then."""
        text, add = said.text, self.tally.add
        if "HaltServer" in said.whole and not any(
            self._places.of(Said(said.at, "", "", (one,))) and "HaltServer" not in one.text
            for one in said.raised
        ):
            return True  # how its main process ends after that
        if said.raised:
            return False
        timeout, sent = _TIMEOUT.search(text), _SENT.search(text)
        exited = _EXITED.search(text)
        if timeout:
            self._silent.add(timeout.group(1))
            add("worker-timeout", process, said.at, [text])
        elif sent:
            by = _ENDED_BY.search(text)
            signal = sent.group(2) or (by.group(1) if by else "")
            self._signal(process, pid, sent.group(1) or sent.group(3), signal.upper(), said)
        elif exited:
            worker, code = exited.groups()
            is_fault = code not in ("0", *_BOOT_CODES) and pid not in self._stopping
            if is_fault and worker not in self._exited:
                self._exited.add(worker)  # gunicorn 22 and 23 say it twice
                add("worker-died", f"{process} exit code {code}", said.at, [text])
        elif _STOPS.search(text):
            self._stopping.add(pid)
        else:
            return False
        return True

    def _signal(self, process: str, pid: str, worker: str, signal: str, said: Said) -> None:
        """A worker that was silent is ended by gunicorn: SIGABRT, then SIGKILL. So are those that
        do not stop in time, once the main process was asked to."""
        if signal in _ASKED or worker in self._silent or pid in self._stopping:
            return
        if signal in _KILLED:
            self.tally.add("worker-memory", process, said.at, [said.text])
            return
        name = _SIGNALS.get(signal, signal)
        self.tally.add("worker-died", f"{process} SIG{name}", said.at, [said.text])

    def _boot(self, process: str, pid: str, said: Said) -> None:
        """The app could not start: why, if a traceback says it."""
        last = self._last.get(pid)
        if said.raised:
            reason = self._lines(said), _known(said, process)
        elif last is not None and said.at - last.at < _REASON_SECONDS:
            reason = self._lines(last), _known(last, process)
        else:
            reason = self._reasons.get(process, ([_PREFIX.sub("", said.text)], None))
        self._reasons[process] = reason
        lines, known = reason
        named = self._labels.get(pid, process)
        self.tally.add("worker-boot", named, said.at, lines, reason=known[0] if known else "")

    def _stuck_in(self, said: Said) -> str:
        """The app's place in which a worker was when it was ended."""
        frames = [
            [frame for frame in one.frames if frame.name != "handle_abort"] for one in said.raised
        ]
        raised = tuple(
            type(one)(frames=kept, text=one.text) for one, kept in zip(said.raised, frames)
        )
        return self._places.of(Said(said.at, "", "", raised))

    def _lines(self, said: Said) -> List[str]:
        """What is shown: the exception, the place, the line before."""
        if not said.raised:
            return [said.text]
        first, last = said.raised[0], said.raised[-1]
        lines = [first.text.split("\n")[0]]
        if last is not first:
            lines.append(f"and so {last.text.splitlines()[0]}")
        where = self._places.of(said)
        lines += [f"at {where}"] if where else []
        return [*lines, said.text] if said.text else lines


class _Rate:
    """How many lines a process writes, and which of them say the same."""

    def __init__(self) -> None:
        self._minutes: Counter[int] = Counter()
        self._shapes: Counter[str] = Counter()
        self._sampled = 0
        self._count = 0
        self._first = self._last = 0.0
        self._example: Dict[str, str] = {}

    def take(self, at: float, line: str) -> None:
        if not self._count:
            self._first = at
        self._last = at
        self._minutes[int(at // _MINUTE)] += 1
        if self._count % _SAMPLE == 0:
            self._sampled += 1
            text = shape(line)
            if text in self._shapes or len(self._shapes) < _MOST_SHAPES:
                self._shapes[text] += 1
                self._example.setdefault(text, line)
        self._count += 1

    def count_into(self, tally: Tally, process: str) -> None:
        """The lines of the busiest minute, and how many of them say the same."""
        if not self._count:
            return
        minute, most = self._minutes.most_common(1)[0]
        text, same = self._shapes.most_common(1)[0]
        tally.add("flood", process, max(minute * _MINUTE, self._first), [], most)
        share = most * same // self._sampled
        tally.add("flood-text", process, self._last, [self._example[text]], share)


def shape(text: str) -> str:
    """A text without times, numbers, ids and quoted texts, so that texts which say the same are the
    same."""
    body = _HEAD.sub("", text[:400]) or text[:400]
    return _VALUES.sub("*", _QUOTED.sub("'*'", body))[:160].strip()


def _known(said: Said, process: str) -> Optional[Tuple[str, str]]:
    """The kind of sign that a message is, and what about, if it says itself what is wrong."""
    known = wording.kind_of(said)
    complaint = services_named.complaint(said)
    if known and not (known[0] == "no-space" and complaint):
        return known[0], known[1] or process
    if complaint:
        return "service", complaint.about
    if services_named.NO_NAME.search(said.whole):
        return "names", wording.looked_up(said.whole)
    return None


def _served(said: Said) -> bool:
    """Whether a worker failed that had started: gunicorn says the same of one that never did."""
    for one in said.raised:
        names = [frame.name for frame in one.frames]
        ran = "init_process" in names and "run" in names[names.index("init_process") :]
        if ran and not any(_STARTUP.search(name) for name in names):
            return True
    return False


def _is_loading(said: Said) -> bool:
    """Whether gunicorn was loading the app."""
    return any(frame.name in _LOADS for one in said.raised for frame in one.frames)
