"""Make whole messages of the lines that a process wrote: a traceback is one with its exception."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Iterator, List, Optional, Tuple

_BEGINS = "Traceback (most recent call last):"
_FRAME = re.compile(r'^File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<name>.+))?')
_MARGIN = re.compile(r"^ *(?:[|+](?:-\+)?[- ]?)+ ?")
_GROUP_RULE = re.compile(r"^ *(?:\| )?[|+ -]*-{4,} (?:\d+|\.\.\.) -{4,}$|^ *\+-{20,}$")
_DIRECT = "The above exception was the direct cause of the following exception:"
_DURING = "During handling of the above exception, another exception occurred:"
# What belongs to the message of an exception of a database.
_CONTINUES = re.compile(
    r"^(?:\s|\[SQL|\[parameters|\(Background|DETAIL|HINT|LINE \d|CONTEXT"
    r"|connection to server (?:at|on) )"
)
_TYPE = re.compile(r"^(?P<type>[A-Za-z_][\w.]*(?:\.<locals>\.\w+)*)(?:: (?P<text>.*))?$", re.DOTALL)
_LOGGED = re.compile(r"(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_HEAD_SECONDS = 1.0
_MOST_FRAMES = 60
_MOST_BLOCKS = 12
_MOST_TEXT = 1200
_JSON_BYTES = 48 << 10
_JSON_MESSAGES = ("message", "msg", "event", "text")
_JSON_LEVELS = ("levelname", "level", "severity", "log.level", "lvl", "log_level")


@dataclass(frozen=True)
class Frame:
    """A place in the code."""

    file: str
    line: str
    name: str


@dataclass
class Raised:
    """One exception of a traceback: its frames, the outermost first, and what it says."""

    frames: List[Frame] = field(default_factory=list)
    text: str = ""

    @property
    def type(self) -> str:
        found = _TYPE.match(self.text)
        return found.group("type") if found else self.text[:80]


@dataclass(frozen=True)
class Said:
    """A message. `level`: as the log names it, "" if it does not. `raised`: the exceptions of its
    traceback, the first cause first. `handled`: those that the app was handling when these came."""

    at: float
    text: str
    level: str = ""
    raised: Tuple[Raised, ...] = ()
    handled: Tuple[Raised, ...] = ()

    @property
    def whole(self) -> str:
        """All that it says, without the places."""
        return "\n".join([self.text, *(one.text for one in self.raised)])


class Speaker:
    """Takes the lines of one process in their order, and gives back whole messages."""

    def __init__(self) -> None:
        self._at = 0.0
        self._head: Optional[Tuple[float, str]] = None
        self._chain: List[Raised] = []
        self._handled: List[Raised] = []
        self._block: Optional[Raised] = None
        self._ended = False  # an exception is complete, a further one may follow from it
        self._linked = False  # and one will
        self._in_group = False

    @property
    def is_inside(self) -> bool:
        """Whether the next line may belong to a traceback."""
        return self._block is not None or self._ended

    def take(self, at: float, line: str) -> Iterator[Said]:
        """The messages that this line ends. A line that stands alone comes with the next one."""
        if _BEGINS in line and not line.lstrip().startswith("{"):
            continues = self._linked or (self._in_group and line.lstrip()[:1] in ("|", "+"))
            if not continues:
                yield from self._flush(keeps_head=not self._chain)
                before = line.partition(_BEGINS)[0].strip(" |+-")
                if before and before != "Exception Group":
                    yield from self._flush()
                    self._head = at, before
                elif self._head and at - self._head[0] > _HEAD_SECONDS:
                    yield from self._flush()
            self._in_group = self._in_group or "Exception Group Traceback" in line
            self._at = at
            self._open()
            return
        if self.is_inside and self._goes_on(line):
            return
        yield from self._flush()
        if line.strip():
            self._head = at, line

    def end(self) -> Iterator[Said]:
        """The message that no line has ended."""
        yield from self._flush()

    def _open(self) -> None:
        self._block, self._ended, self._linked = Raised(), False, False
        if len(self._chain) < _MOST_BLOCKS:
            self._chain.append(self._block)

    def _goes_on(self, line: str) -> bool:
        """Whether the line belongs to the traceback."""
        if self._in_group:
            margin = _MARGIN.match(line)
            if _GROUP_RULE.match(line):
                self._ended = True
                return True
            if margin is None and line[:1].strip() and self._ended:
                self._in_group = False
            line = line[margin.end() :] if margin else line
        if self._ended:
            return self._follows(line)
        return self._in_block(line)

    def _follows(self, line: str) -> bool:
        """A line after an exception."""
        said = line.strip()
        if said in (_DURING, _DIRECT):
            self._linked = True
            if said == _DURING:
                self._handled = [*self._handled, *self._chain][:_MOST_BLOCKS]
                self._chain = []
            return True
        if not said:
            return True
        last = self._chain[-1] if self._chain else None
        if last is not None and _CONTINUES.match(line) and len(last.text) < _MOST_TEXT:
            last.text += "\n" + line.rstrip()
            return True
        if self._in_group and _TYPE.match(said):  # a part of a group without frames
            self._open()
            return self._in_block(line)
        return False

    def _in_block(self, line: str) -> bool:
        block = self._block
        if block is None:
            return False
        frame = _FRAME.match(line.strip())
        if frame:
            name = (frame.group("name") or "").strip()
            block.frames.append(Frame(frame.group("file"), frame.group("line"), name))
            del block.frames[:-_MOST_FRAMES]
        elif line[:1].strip():
            if not _TYPE.match(line) or _LOGGED.match(line):
                return False  # its end is missing
            block.text = line.rstrip()[:_MOST_TEXT]
            self._block, self._ended = None, True
        return True

    def _flush(self, *, keeps_head: bool = False) -> Iterator[Said]:
        head, chain = self._head, [one for one in self._chain if one.text]
        if chain:
            handled = tuple(one for one in self._handled if one.text)
            text = head[1] if head else ""
            yield replace(said(self._at, text, tuple(_root_first(chain))), handled=handled)
        elif head and not keeps_head:
            yield said(*head)
        self._head = head if keeps_head and not chain else None
        self._chain, self._handled, self._block = [], [], None
        self._ended = self._linked = self._in_group = False


def _root_first(chain: List[Raised]) -> List[Raised]:
    """A group's own parts say more than the group."""
    groups = [one for one in chain if re.search(r"\(\d+ sub-exceptions?\)", one.text)]
    return [*(one for one in chain if one not in groups), *groups]


# As Python's logging writes it, structlog, and logfmt.
_LEVEL = re.compile(
    r"(?<![\w/.\"'-])(?:(?:level|lvl|severity)=)?\"?"
    r"(DEBUG|INFO|NOTICE|WARNING|WARN|ERROR|CRITICAL|FATAL)(?![\w/'-])"
    r"|(?:\[|\b(?:level|lvl|severity)=\"?)(debug|info|warning|error|critical|fatal)\b"
)


def said(at: float, text: str, raised: Tuple[Raised, ...] = ()) -> Said:
    """A message of a line of text or of JSON."""
    if text.lstrip()[:1] == "{" and len(text) <= _JSON_BYTES:
        found = _of_json(at, text)
        if found is not None:
            return found
    level = _LEVEL.search(text[:200])
    named = (level.group(1) or level.group(2)).upper() if level else ""
    return Said(at, text[:_MOST_TEXT], named, raised)


def _of_json(at: float, text: str) -> Optional[Said]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    flat = dict(_flat(fields))
    message = next((flat[one] for one in _JSON_MESSAGES if isinstance(flat.get(one), str)), "")
    level = next((str(flat[one]) for one in _JSON_LEVELS if flat.get(one) is not None), "")
    trace = next((one for one in flat.values() if isinstance(one, str) and _BEGINS in one), "")
    raised: Tuple[Raised, ...] = ()
    if trace:
        if message == trace:
            message = trace.partition(_BEGINS)[0].strip() or trace.splitlines()[-1]
        inner = Speaker()
        parts = [*(one for line in trace.splitlines() for one in inner.take(at, line))]
        parts += inner.end()
        raised = next((one.raised for one in parts if one.raised), ())
    return Said(at, str(message or text)[:_MOST_TEXT], _level(level), raised)


def _flat(fields: "dict[object, object]") -> Iterator[Tuple[str, object]]:
    """The fields, and those of one level below: `log: {level: ...}` as `log.level`."""
    for name, value in fields.items():
        yield str(name), value
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", one) for inner, one in value.items())
            yield from ((str(inner), one) for inner, one in value.items() if inner != "level")


# Of pino and bunyan, which JSON loggers of Python copy.
_NUMBERS = {"50": "ERROR", "60": "FATAL", "40": "WARNING", "30": "INFO", "20": "DEBUG"}


def _level(text: str) -> str:
    return _NUMBERS.get(text, text.upper())
