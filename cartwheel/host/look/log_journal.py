"""Lines of an application in the systemd journal, and Cartwheel's own history of it."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Callable, Deque, Dict, Iterator, List, Optional, Tuple

from cartwheel.host.layout import OLD_SLOTS, Layout
from cartwheel.host.look.log_lines import Line, Wanted, send
from cartwheel.host.state import journal, releases
from cartwheel.host.system import children
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.system.journald import HOOK
from cartwheel.host.wire.instance import WEB
from cartwheel.host.wire.journal import Entry

APP = ("app", "gunicorn", "systemd")
OPERATIONS = ("cartwheel", "hooks")

_CONFIG = ("systemd-analyze", "cat-config", "systemd/journald.conf")
_CONFIG_SECONDS = 10.0
_FOLLOW_SECONDS = 365 * 86400.0
# The bytes of a text that is not UTF-8 are numbers in JSON; journald cuts lines at 48 KiB.
_ENTRY_BYTES = 4 << 20
_FIELDS = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_PID,_SYSTEMD_UNIT,UNIT"
_NOTICEABLE = 4  # warning, of syslog(3)
_ERROR = 3
_GUNICORN = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] \[[A-Z]+\] ")
_GRAVE = re.compile(
    r"(?<![\w/.-])(?:ERROR|CRITICAL|FATAL)(?![\w/-])"
    r"|\"(?:level|levelname|severity|log\.level)\": ?\"(?i:error|critical|fatal)\""
)


def unkept() -> str:
    """How to fix a journald that keeps no logs (journald.conf(5), Storage=); "" if it does."""
    done = children.ask(_CONFIG, timeout_seconds=_CONFIG_SECONDS)
    said = [
        line.partition("=")[2].strip()
        for line in done.output.splitlines()
        if line.startswith("Storage")
    ]
    if said[-1:] != ["none"]:
        return ""
    return (
        "journald keeps no logs on this host, so the newest of the app are lost: take Storage=none"
        " out of journald.conf, then `systemctl restart systemd-journald`"
    )


@dataclass
class Entries:
    """The journal of some units of an application."""

    at: Layout
    sources: Tuple[str, ...]
    units: List[str]
    _cursor: str = field(default="", init=False)
    _started: float = field(default_factory=time.time, init=False)

    def last(self, ctx: Context, wanted: Wanted, most: int) -> List[Line]:
        if wanted.since is not None:
            return self._read(ctx, wanted, most, f"--since=@{wanted.since:.3f}")[0]
        asked = most if wanted.all_of(self.sources) else max(1000, most)
        while True:
            found, read = self._read(ctx, wanted, most, f"--lines={asked}")
            if len(found) >= most or read < asked:
                return found
            asked *= 10

    def follow(self, ctx: Context, wanted: Wanted) -> None:
        read = _Reader(self.at, self.sources)
        after = f"--after-cursor={self._cursor}" if self._cursor else f"--since=@{self._started}"

        def tell(text: str) -> None:
            for line in filter(wanted, read(text)):
                send(ctx, line)

        # Without a number of lines `--follow` means ten of them.
        self._ask(ctx, (after, "--follow", "--lines=all"), tell, _FOLLOW_SECONDS)

    def _read(self, ctx: Context, wanted: Wanted, most: int, which: str) -> Tuple[List[Line], int]:
        """The last wanted lines, and how many entries there were."""
        read = _Reader(self.at, self.sources)
        found: Deque[Line] = deque(maxlen=most)
        self._ask(ctx, (which,), lambda text: found.extend(filter(wanted, read(text))))
        self._cursor = read.cursor or self._cursor
        return list(found), read.entries

    def _ask(
        self,
        ctx: Context,
        which: Tuple[str, ...],
        tell: Callable[[str], None],
        seconds: Optional[float] = None,
    ) -> None:
        # Without `--all` a text of more than 4096 bytes is null.
        argv = ["journalctl", "--no-pager", "--quiet", "--output=json", "--all"]
        children.ask(
            [*argv, f"--output-fields={_FIELDS}", *which, *self.units],
            ctx=ctx,
            timeout_seconds=ctx.remaining() if seconds is None else seconds,
            on_line=tell,
            line_bytes=_ENTRY_BYTES,
        )


def of_app(at: Layout, only: Tuple[str, ...] = ()) -> Entries:
    """The messages of app, gunicorn and systemd, from all instances, or `only` of these processes.
    Raises OpError("usage") for a process that no release has."""
    every = [WEB, *(name for one in releases.names(at) for name in releases.processes(at, one))]
    known = list(dict.fromkeys(every))
    for name in only:
        if name not in known:
            hint = f"Processes: {', '.join(known)}."
            raise OpError("usage", f"--process {name}: no release here has this process", hint)
    chosen = [name for name in known if name in only or not only]
    # A release starts with a digit, so units of `shop` in an environment `web` do not match.
    units = [
        f"--unit=cartwheel-{at.app}.{name}.[0-9]*.service"
        for name in dict.fromkeys([*(OLD_SLOTS if WEB in chosen else ()), *chosen])
    ]
    return Entries(at, APP, units)


def of_operations(at: Layout) -> Entries:
    """The messages of sessions, checks of releases, recovery and hooks."""
    some = "[0-9a-f]" * 8
    return Entries(
        at,
        OPERATIONS,
        [
            f"--unit=cartwheel-session-{at.app}-{some}.service",
            f"--unit=cartwheel-verify-{at.app}-{some}.service",
            f"--unit={at.boot_unit.name}",
        ],
    )


class _Reader:
    """Makes lines of the journal's entries, in their order: a traceback is an error as a whole."""

    def __init__(self, at: Layout, sources: Tuple[str, ...]) -> None:
        self.entries = 0
        self.cursor = ""
        self._at = at
        self._of_app = sources == APP
        self._tracebacks: Dict[str, _Traceback] = {}

    def __call__(self, text: str) -> Iterator[Line]:
        try:
            entry = json.loads(text)
            at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        except (ValueError, KeyError, TypeError):
            return
        self.entries += 1
        self.cursor = entry.get("__CURSOR", "")
        urgency = _number(entry.get("PRIORITY"))
        by_systemd = entry.get("_PID") == "1"
        if by_systemd and not self._of_app and urgency > _NOTICEABLE:
            return  # each session starts and ends
        unit = _text(entry.get("UNIT") or entry.get("_SYSTEMD_UNIT"))
        instance = self._at.instance_of(unit)
        traceback = self._tracebacks.setdefault(_text(entry.get("_PID")), _Traceback())
        for one in _text(entry.get("MESSAGE")).split("\n"):
            grave = urgency <= (_NOTICEABLE if by_systemd else _ERROR)
            yield Line(
                at,
                self._source(entry, one),
                one,
                traceback.holds(one) or grave or _GRAVE.search(one) is not None,
                instance.release if instance else None,
                instance,
            )

    def _source(self, entry: "Dict[str, object]", text: str) -> str:
        if not self._of_app:
            return "hooks" if entry.get("SYSLOG_IDENTIFIER") == HOOK else "cartwheel"
        if entry.get("_PID") == "1":
            return "systemd"
        return "gunicorn" if _GUNICORN.match(text) else "app"


class _Traceback:
    """Whether the lines of one process belong to a traceback."""

    def __init__(self) -> None:
        self._inside = False
        self._ended = False  # after its last line another one may be said to be its cause

    def holds(self, text: str) -> bool:
        if re.match(r"[\s+|]*(?:Exception Group )?Traceback \(most recent call last\):", text):
            self._inside, self._ended = True, False
            return True
        if self._inside:
            if text[:1].strip():  # the exception itself
                self._inside, self._ended = False, True
            return True
        if self._ended and not text.strip():
            return True
        linked = self._ended and " exception" in text and text.endswith(":")
        self._ended = linked
        return linked


def _text(value: object) -> str:
    """A field's text. journald writes text with other bytes or control characters as a list of
    bytes, and a field with several values as a list of them."""
    if isinstance(value, list):
        if all(isinstance(one, int) for one in value):
            return bytes(one & 255 for one in value).decode("utf-8", "replace")
        return "\n".join(map(_text, value))
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return int(value) if isinstance(value, str) and value.isdigit() else 6


@dataclass
class Attempts:
    """The history of deploys, rollbacks and restarts (`state.journal`)."""

    at: Layout
    sources: Tuple[str, ...] = ("cartwheel",)
    _seen: int = field(default=0, init=False)

    def last(self, ctx: Context, wanted: Wanted, most: int) -> List[Line]:
        return list(filter(wanted, self._new()))[-most:]

    def follow(self, ctx: Context, wanted: Wanted) -> None:
        while True:
            ctx.pause(1.0)
            for line in filter(wanted, self._new()):
                send(ctx, line)

    def _new(self) -> Iterator[Line]:
        for entry in journal.read(self.at.journal):
            if (entry.seq or 0) > self._seen:
                self._seen = entry.seq or 0
                yield _of_entry(entry)


# As `fab history` calls them.
_RESULTS = {"confirmed": "done", "reverted": "rolled back"}


def _of_entry(entry: Entry) -> Line:
    what = " ".join(filter(None, (entry.kind, entry.process, entry.release)))
    text = f"{what}: {_RESULTS.get(entry.result or '', entry.result or 'done')}"
    text += f", by {entry.who}" if entry.who else ""
    why = entry.reason or entry.message
    text += f": {why}" if why else ""
    failed = entry.result in ("failed", "reverted")
    return Line(entry.at or 0.0, "cartwheel", " ".join(text.split()), failed, entry.release)
