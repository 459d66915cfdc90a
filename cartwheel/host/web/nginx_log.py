"""What nginx writes to its logs: requests, and errors by kind."""

from __future__ import annotations

import re
from typing import Iterator, Optional, Tuple

from cartwheel.host.web import log_times
from cartwheel.host.web.server import Trouble, Visit

# A line of templates/nginx-site.conf.j2; that of the balancer ends before `probe`. A quote in a
# client's words is written as \x22: nobody can forge a field.
_VISIT = re.compile(
    rb'^(\S+) \[[^\]]*\] \S+ "(?:[A-Z]+ )?([^"? ]*)[^"]*" (\d{3}) \d+ "[^"]*" "([^"]*)" id=\S*'
    rb' time=(\d+\.\d+) upstream="([^"]*)" upstream_status="([^"]*)" upstream_time="([^"]*)"'
    rb" at=(\d+\.\d+)(?: probe=(1?))?$",
    re.MULTILINE,
)
# What nginx answers itself if the upstream gives no answer; it then notes the same as the
# upstream's status.
_ITS_OWN = (b"502", b"504")

_ERROR = re.compile(
    r"(?P<at>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>\w+)\] \d+#\d+: (?:\*\d+ )?(?P<said>.*)"
)
_REQUEST = re.compile(r', request: "(?:[A-Z]+ )?([^"? ]*)')
_UPSTREAM = re.compile(r', upstream: "(?:\w+://)?(unix:[^":]+|[^"/]+)')
_FILE = re.compile(r'"([^"]+)"')
_CONNECT = {"13": "permission", "2": "no-socket", "11": "queue", "111": "refused", "110": "timeout"}
_CONNECT_TO = re.compile(r"connect\(\) (?:to \S+ )?failed \((\d+): ")
# What the server as a whole lacks, whichever call notices it.
_LACKS = {"(24: ": "files", "(28: ": "disk", "(12: ": "memory"}
# Of one request, by the words that begin the message.
_OF_REQUEST = (
    ("upstream timed out", "timeout"),
    ("upstream prematurely closed", "cut"),
    ("upstream sent too big header", "header"),
    ("upstream sent ", "invalid"),
    ("no live upstreams", "no-upstream"),
    ("client intended to send too large", "body"),
    ("limiting requests", "rate"),
    ("limiting connections", "rate"),
)
_BROKEN_OFF = ("recv() failed", "send() failed", "writev() failed")
_CERTIFICATE = ("cannot load certificate", "SSL_CTX_use", "SSL_CTX_load")
_EXITED = re.compile(r"worker process \d+ exited on (signal \d+)")
_SETTING = ("could not build ", "conflicting server name")


def visits(data: bytes) -> Iterator[Visit]:
    """As `server.WebServer.visits`."""
    for found in _VISIT.finditer(data):
        client, path, status, agent, took, upstream, said, upstream_took, at, probe = found.groups()
        passed = upstream != b"-" and bool(upstream)
        seconds = float(took)
        if passed:
            try:
                seconds = float(upstream_took)
            except ValueError:  # several tries, or none that had a time
                seconds = _sum(upstream_took, seconds)
        answered = passed and status not in _ITS_OWN and said.endswith(status)
        closed = not passed and status == b"503"
        yield Visit(
            float(at),
            client,
            path,
            int(status),
            seconds,
            passed,
            answered,
            agent,
            closed,
            bool(probe),
        )


def _sum(times: bytes, otherwise: float) -> float:
    found = [float(one) for one in re.findall(rb"\d+\.\d+", times)]
    return sum(found) if found else otherwise


def trouble(line: str) -> Optional[Trouble]:
    """As `server.WebServer.trouble`."""
    found = _ERROR.match(line)
    at = log_times.local(found["at"], "%Y/%m/%d %H:%M:%S") if found else None
    if found is None or at is None:
        return None
    said = found["said"]
    whole = _of_server(said, found["level"])
    if whole is not None:
        return Trouble(at, *whole, is_whole=True)
    one = _of_request(said)
    return Trouble(at, *one, path=_first(_REQUEST, said)) if one is not None else None


def _of_server(said: str, level: str) -> Optional[Tuple[str, str]]:
    """The kind, and what it is about."""
    for lack, kind in _LACKS.items():
        if lack in said:
            return kind, _named(said) if kind == "disk" else ""
    if " worker_connections are not enough" in said:
        return "connections", said.split(" ", maxsplit=1)[0]
    if level == "emerg":
        return "certificate" if said.startswith(_CERTIFICATE) else "configuration", said[:300]
    exited = _EXITED.match(said)
    if exited:
        return "crash", exited.group(1)
    return ("configuration", said[:300]) if said.startswith(_SETTING) else None


def _of_request(said: str) -> Optional[Tuple[str, str]]:
    upstream, connect = _first(_UPSTREAM, said), _CONNECT_TO.match(said)
    if connect:
        return _CONNECT.get(connect.group(1), "refused"), upstream
    if "while SSL handshaking to upstream" in said:
        return "invalid", upstream
    for begin, kind in _OF_REQUEST:
        if said.startswith(begin):
            return kind, ""
    if upstream and said.startswith(_BROKEN_OFF):
        return "cut", ""
    return ("file", _named(said)) if "() " in said and " failed (13: " in said else None


def _named(said: str) -> str:
    """The file that a message names."""
    return _first(_FILE, said.split(", client: ", maxsplit=1)[0])


def _first(pattern: "re.Pattern[str]", text: str) -> str:
    found = pattern.search(text)
    return found.group(1) if found else ""
