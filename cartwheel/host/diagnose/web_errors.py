"""What the web server complains about, from the error log of the site and from its own."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from cartwheel.host.diagnose import log_window
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.diagnose.log_window import Bounds, Part
from cartwheel.host.diagnose.paths import grouped
from cartwheel.host.system import reach
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web.chosen import web_server
from cartwheel.host.web.server import Trouble, WebServer
from cartwheel.host.wire.diagnosis import Sign

# What a `server.Trouble` says; a sign's kind is `web-` and this one.
KINDS = (
    "permission",  # its user may not open the upstream's socket
    "no-socket",  # the upstream's socket is missing
    "refused",  # nobody answers at the upstream's socket
    "queue",  # the upstream's queue is full
    "timeout",  # the upstream did not answer in time
    "cut",  # the upstream closed the connection before its answer was complete
    "header",  # the head of an answer is too large
    "invalid",  # an answer is no HTTP
    "no-upstream",  # there is no upstream left to ask
    "body",  # a request is larger than allowed
    "rate",  # a client asks more often than allowed
    "connections",  # it may serve no more connections at once
    "files",  # it may open no more files
    "memory",  # it gets no memory
    "disk",  # it cannot write to the disk
    "file",  # its user may not read or write a file
    "certificate",  # it cannot use a certificate
    "configuration",  # it refuses its configuration, or ignores a part
    "crash",  # one of its processes was killed or crashed
)

# An error log has some hundred bytes a line; 6 MB are 20,000 lines, a quarter of a second.
_BOUNDS = Bounds(whole=6 << 20, newest=3 << 20, spread=3 << 20, block=128 << 10)
_READ_SECONDS = 0.8
_MOST_SIGNS = 60
_MOST_LINES = 3
_LINE_CHARACTERS = 400


@dataclass
class _Seen:
    count: float
    first: float
    last: float
    lines: List[str] = field(default_factory=list)


# Whether a failure in a log concerns the app.
Concerns = Callable[[Trouble, str], bool]


def look(ctx: Context, window: Window) -> Found:
    """The errors of that time by kind, and by what they are about."""
    web = web_server(ctx.at)
    logs = [(web.logs(name)[1], _everything) for name in (ctx.at.app, ctx.at.balancer_site)]
    concerns = concerning(f"{ctx.at.root}/", web.live_upstream(ctx.at))
    return read(web, [*logs, (web.error_log, concerns)], window)


def concerning(*ours: str) -> Concerns:
    """Of a log that all sites share: what names one of these, and what is of the whole server."""
    return lambda trouble, line: trouble.is_whole or any(text in line for text in ours)


def _everything(_trouble: Trouble, _line: str) -> bool:
    return True


def read(web: WebServer, logs: Sequence[Tuple[Path, Concerns]], window: Window) -> Found:
    """The same from these logs, each with what of it concerns the app."""
    seen: Dict[Tuple[str, str], _Seen] = {}
    unread: List[str] = []
    for path, concerns in logs:
        with log_window.opened(path, window, _time_of(web)) as log:
            unread.extend(log.unread)
            deadline = time.monotonic() + _READ_SECONDS
            for part in log_window.parts(log, _BOUNDS, deadline):
                _add(seen, web, part, concerns)
    for (kind, about), one in seen.items():
        if kind == "web-permission":
            one.lines.append(_closed_at(about, web))
    return Found(signs=tuple(_signs(seen)), unread=tuple(unread))


def _closed_at(about: str, web: WebServer) -> str:
    """Where the way to the socket is closed for the web server's user now."""
    path = about.replace("unix:", "", 1)
    try:
        user = web.user()
        obstacle = reach.obstacle(path, reach.account(user), write=True)
    except (OSError, OpError) as error:
        return f"{path}: {error}"
    return obstacle or f"{path}: {user} may open it now, or after a restart"


def _time_of(web: WebServer) -> Callable[[str], Optional[float]]:
    return lambda line: web.look_at(line)[0]


def _add(
    seen: Dict[Tuple[str, str], _Seen],
    web: WebServer,
    part: Part,
    concerns: Concerns,
) -> None:
    for raw in part.data.splitlines():
        line = raw.decode("utf-8", "replace")
        trouble = web.trouble(line)
        if trouble is None or not concerns(trouble, line):
            continue
        about = trouble.about or (grouped(trouble.path) if trouble.path else "")
        key = (f"web-{trouble.kind}", about)
        one = seen.get(key)
        if one is None:
            one = seen[key] = _Seen(0.0, trouble.at, trouble.at)
        one.count += part.weight
        one.first, one.last = min(one.first, trouble.at), max(one.last, trouble.at)
        one.lines.append(line[:_LINE_CHARACTERS])
        if len(one.lines) > _MOST_LINES:
            del one.lines[1]  # the first one, and the last ones


def _signs(seen: Dict[Tuple[str, str], _Seen]) -> Iterator[Sign]:
    """The most frequent of each kind first."""
    order = sorted(seen, key=lambda key: (-seen[key].count, key))
    for kind, about in order[:_MOST_SIGNS]:
        one = seen[kind, about]
        yield Sign(kind, about, round(one.count), one.first, one.last, tuple(one.lines))
