"""What Apache says: its complaints about a configuration, and the lines of its logs."""

from __future__ import annotations

import re
from typing import Optional, Tuple

from cartwheel.host.web import log_times
from cartwheel.host.web.apache import RETRY_SECONDS
from cartwheel.host.web.apache_config import TextOf, on_disk, place_of
from cartwheel.host.web.server import Request

# Apache tells of each file that includes the broken one; the last place counts, or the last
# complaint. Some name the place themselves once more.
_SYNTAX = re.compile(
    r"Syntax error on line (?P<line>\d+) of (?P<file>macro '[^\n]*?\"+|/[^:\n]+):\s+"
    r"(?!Syntax error on line)(?P<said>[^\n]+)"
)
_ITSELF = re.compile(r"^/[^:\s]+:\d+: ")
_DEFINED = re.compile(r"AH\d+: (?P<said>[^\n]+?) defined at (?P<file>[^\n]+):(?P<line>\d+)$", re.M)
_FATAL = re.compile(r"\[[\w-]*:(?:emerg|alert|crit)\] .*?AH\d+: (.+)")
_FAILURE = re.compile(r"(?:AH\d+: |^apache2: )(.+)", re.MULTILINE)
# Said beside each complaint, or after it.
_NO_CAUSE = ("AH00558", "AH00014", "AH00015", "AH00016", "AH00020")

# The end of a line, as templates/apache-site.conf.j2 has it. A quote in a client's words is
# written as \": nobody can forge it.
_FIELDS = re.compile(
    rb' upstream="(?P<upstream>[^"]*)" began=(?P<began>\d+) probe=(?P<probe>1|-)\Z'
)
_STATUS = re.compile(r'[^"]*"(?:[^"\\]|\\.)*" (\d{3}) ')
_FIRST, _SECOND = ".current", ".fallback"
_UNREACHABLE = 502

_BEGAN = re.compile(r" began=(\d{12,})\b")
_ERROR = re.compile(r"\[\w{3} (\w{3} \d\d \d\d:\d\d:\d\d)\.\d+ (\d{4})\] \[[\w-]*:(\w+)\]")
_GRAVE = ("error", "crit", "alert", "emerg")


def complaint(output: str, text_of: TextOf = on_disk) -> str:
    """The error in what it printed, as FILE:LINE: MESSAGE. `text_of` gives the text of a file that
    is not on the disk yet."""
    for pattern in (_SYNTAX, _DEFINED):
        found = list(pattern.finditer(output))
        if found:
            match = found[-1]
            place = place_of(match.group("file"), int(match.group("line")), text_of)
            return f"{place[0]}:{place[1]}: {_ITSELF.sub('', match.group('said')).strip()}"
    lines = [line for line in output.splitlines() if not any(no in line for no in _NO_CAUSE)]
    text = "\n".join(lines)
    failure = _FATAL.search(text) or _FAILURE.search(text)
    return failure.group(1) if failure else "see its output"


def request(line: bytes) -> Optional[Request]:
    """A request that was passed on. Apache names only the worker that it tried last. If that is the
    fallback, the first one could not be reached: now, or so shortly before that it was left out."""
    found, status = _FIELDS.search(line), _STATUS.match(line.decode("ascii", "replace"))
    if found is None or status is None or found.group("probe") == b"1":
        return None
    upstream = found.group("upstream").decode("utf-8", "replace")
    began = int(found.group("began")) / 1000.0
    if upstream.endswith(_SECOND):
        first = upstream[: -len(_SECOND)] + _FIRST
        return Request(first, _UNREACHABLE, began - RETRY_SECONDS)
    return Request(upstream, int(status.group(1)), began) if upstream != "-" else None


def look_at(line: str) -> Tuple[Optional[float], bool]:
    """As `server.WebServer.look_at`."""
    error = _ERROR.match(line)
    if error:
        when = log_times.local(f"{error.group(1)} {error.group(2)}", "%b %d %H:%M:%S %Y")
        return when, error.group(3) in _GRAVE
    status, began = _STATUS.match(line), _BEGAN.search(line)
    when = int(began.group(1)) / 1000.0 if began else log_times.zoned(line)
    return when, status is not None and status.group(1)[0] == "5"
