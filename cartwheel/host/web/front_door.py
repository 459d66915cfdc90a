"""Find out which release answered through the web server; the backup answers for a dead instance.

The rendered site reports to requests with this host's token, and to no others, which upstreams
were tried, the status of each, and the release that `current` named (`server.WebServer`).
"""

from __future__ import annotations

import http.client
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.process.health import NoAnswer, exchange
from cartwheel.host.system import files
from cartwheel.host.web import tls
from cartwheel.host.web.kinds import web_server
from cartwheel.host.wire.health import Probe

HEADER = "X-Cartwheel-Probe"
_TOKEN = re.compile(r"[0-9a-f]{32}")
_ANSWER = re.compile(r"release=(.*); status=([0-9, :-]*); upstream=(.*)\Z")


def ensure_token(at: Layout) -> str:
    """This host's token for `at`, made when it is missing.

    It must be there before the web server reads the site. Only root can read it, and it never
    leaves the host.
    """
    token = known_token(at)
    if token is None:
        token = secrets.token_hex(16)
        files.write(at.probe_map, web_server().token_text(token).encode(), 0o600)
    return token


def known_token(at: Layout) -> Optional[str]:
    """The existing token; None if it is missing or damaged. Changes nothing."""
    try:
        text = at.probe_map.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    found = _TOKEN.search(text)
    return found.group() if found and web_server().token_text(found.group()) == text else None


@dataclass(frozen=True)
class Answer:
    """The web server's report on one request: statuses and upstreams, in the order of tries."""

    release: str
    statuses: Tuple[str, ...]
    upstreams: Tuple[str, ...]


def parse(header: str) -> Optional[Answer]:
    """The value of X-Cartwheel-Probe; None for anything else."""
    found = _ANSWER.match(header)
    if found is None:
        return None
    return Answer(
        release=Path(found.group(1)).name,
        statuses=tuple(found.group(2).split(", ")),
        upstreams=tuple(found.group(3).split(", ")),
    )


def ask(at: Layout, probe: Probe, port: int, release: str) -> str:
    """One request through the web server; "" if `release` answered well as the first upstream
    tried, else the problem."""
    return _ask(at, probe, port, release, ensure_token(at))


def look(at: Layout, probe: Probe, port: int, release: str) -> str:
    """The same for those who only look: it makes no token."""
    token, web = known_token(at), web_server().name
    if token is None:
        return f"{at.probe_map} is missing or damaged: {web} cannot say which release answers"
    return _ask(at, probe, port, release, token)


def _ask(at: Layout, probe: Probe, port: int, release: str, token: str) -> str:
    wrong = _wrong(at, probe, port, release, token)
    return f"through {web_server().name}: {wrong}" if wrong else ""


def _wrong(at: Layout, probe: Probe, port: int, release: str, token: str) -> str:
    connection = connected(at, probe, port)
    try:
        response, _body = exchange(connection, probe, {HEADER: token})
    except NoAnswer as error:
        return str(error)
    answer = parse(response.getheader(HEADER) or "")
    if answer is None:
        return f"{probe.path} answered {response.status}, not by this site"
    upstream, status = answer.upstreams[0], answer.statuses[0]
    if upstream != upstream_of(at) or status != str(probe.status):
        return f"{upstream} said {status} instead of {probe.status}"
    if answer.release != release:
        return f"{answer.release} answered instead of {release}"
    return ""


def connected(at: Layout, probe: Probe, port: int) -> http.client.HTTPConnection:
    """As visitors come: over TLS where the site is served over TLS."""
    secure = tls.served_as(at) if tls.end_of(at) == "app" else None
    if secure is not None:
        name = probe.host.partition(":")[0]
        return tls.Connection(secure.port, name, probe.timeout_seconds)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=probe.timeout_seconds)


def upstream_of(at: Layout) -> str:
    """The web server's name for the live instance, in its answer to a probe and in its log."""
    return f"unix:{at.current}/http.sock"
