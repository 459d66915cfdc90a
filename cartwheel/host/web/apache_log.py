"""What Apache writes to its logs: requests, and errors by kind."""

from __future__ import annotations

import re
from typing import Iterator, Optional, Tuple

from cartwheel.host.web import log_times
from cartwheel.host.web.server import Trouble, Visit

# A line of templates/apache-site.conf.j2. A quote in a client's words is written as \".
_VISIT = re.compile(
    rb'^(\S+) \[[^\]]*\] \S+ "(?:[A-Z]+ )?([^"? ]*)(?:[^"\\]|\\.)*" (\d{3}) \d+'
    rb' "(?:[^"\\]|\\.)*" "((?:[^"\\]|\\.)*)" id=\S* time=(\d+) upstream="([^"]*)" began=(\d+)'
    rb" probe=(1|-)$",
    re.MULTILINE,
)
# Apache answers these itself if the upstream gives no answer. (An app may answer so too: the log
# does not tell.)
_ITS_OWN = (502, 503, 504)

_ERROR = re.compile(
    r"\[\w{3} (?P<day>\w{3} \d\d \d\d:\d\d:\d\d)\.\d+ (?P<year>\d{4})\] \[[\w-]*:(?P<level>\w+)\]"
    r" \[pid [^\]]*\] (?:\[client [^\]]*\] )?(?:\((?P<number>\d+|EAI \d+)\)(?P<why>[^:]*): )?"
    r"(?:\[client [^\]]*\] )?(?P<code>AH\d+): (?P<said>.*)"
)
_SOCKET = re.compile(r"(?:socket|connect to) (/\S+|[^\s/]+:\d+) ")
_RETURNED_BY = re.compile(r"returned by (\S+)")
_FILE = re.compile(r"(?:filesystem path '|server access: )([^'\n]+)")
_SIGNAL = re.compile(r"exit signal [^(]*\((\d+)\)")
_TIMEOUT = ("70007", "110")  # APR_TIMEUP, ETIMEDOUT
_CONNECT = {"13": "permission", "2": "no-socket", "11": "queue", "111": "refused"}
_LACKS = {"24": "files", "28": "disk", "12": "memory"}
_CONNECTS = ("AH02454", "AH00957", "AH02453", "AH00952")
_READS = ("AH01102", "AH01110", "AH01084", "AH01086")
_TOO_LARGE = "AH10124"  # its errno, 28, says nothing
_OF_REQUEST = {
    _TOO_LARGE: "header",
    "AH01106": "invalid",
    "AH10404": "invalid",
    "AH01167": "no-upstream",
    "AH01170": "no-upstream",
    "AH01587": "body",
    "AH01588": "body",
}
_FULL = ("AH00484", "AH00161", "AH03490", "AH00485", "AH00286", "AH00288")
_OF_FILES = ("AH00132", "AH00035", "AH00529")
_CERTIFICATE = ("AH02565", "AH02561", "AH02562", "AH02563", "AH02564", "AH02572", "AH02577")


def visits(data: bytes) -> Iterator[Visit]:
    """As `server.WebServer.visits`. The time of a visit is that of its answer, as the order of the
    lines is."""
    for found in _VISIT.finditer(data):
        client, path, status, agent, took, upstream, began, probe = found.groups()
        passed = upstream != b"-" and bool(upstream)
        seconds, number = int(took) / 1000.0, int(status)
        answered = passed and number not in _ITS_OWN
        at = int(began) / 1000.0 + seconds
        # A closed site is not told from one without an upstream: both are 503 without a worker.
        yield Visit(
            at, client, path, number, seconds, passed, answered, agent, False, probe == b"1"
        )


def trouble(line: str) -> Optional[Trouble]:
    """As `server.WebServer.trouble`. A failure at the upstream takes two or three lines: the first
    one says why."""
    found = _ERROR.match(line)
    at = None
    if found is not None:
        at = log_times.local(f"{found['day']} {found['year']}", "%b %d %H:%M:%S %Y")
    if found is None or at is None:
        return None
    number, code, said = found["number"] or "", found["code"], found["said"]
    whole = _of_server(number, code, said, found["level"])
    if whole is not None:
        return Trouble(at, *whole, is_whole=True)
    one = _of_request(number, code, said)
    return Trouble(at, *one, path=_first(_RETURNED_BY, said)) if one is not None else None


def _of_server(number: str, code: str, said: str, level: str) -> Optional[Tuple[str, str]]:
    """The kind, and what it is about."""
    if number in _LACKS and code != _TOO_LARGE:
        return _LACKS[number], ""
    if code in _FULL:
        return "connections", ""
    if code in _CERTIFICATE or (code == "AH02312" and level == "emerg"):
        return "certificate", said[:300]
    if level == "emerg":
        return "configuration", f"{code}: {said}"[:300]
    if code in ("AH00051", "AH00052"):
        return "crash", f"signal {_first(_SIGNAL, said)}"
    return None


def _of_request(number: str, code: str, said: str) -> Optional[Tuple[str, str]]:
    if code in _CONNECTS:
        kind = "timeout" if number in _TIMEOUT else _CONNECT.get(number, "refused")
        socket = _first(_SOCKET, said)
        return kind, f"unix:{socket}" if socket.startswith("/") else socket
    if code in _READS:
        return "timeout" if number in _TIMEOUT else "cut", ""
    if code in _OF_FILES and number == "13":
        return "file", _first(_FILE, said)
    return (_OF_REQUEST[code], "") if code in _OF_REQUEST else None


def _first(pattern: "re.Pattern[str]", text: str) -> str:
    found = pattern.search(text)
    return found.group(1) if found else ""
