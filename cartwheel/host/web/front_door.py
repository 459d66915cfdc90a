"""Find out which release answered through the web server; the backup answers for a dead instance.

The rendered site reports to requests with this host's token, and to no others, which upstreams
were tried, the status of each, and the release that `current` named (`server.WebServer`).
"""

from __future__ import annotations

import http.client
import re
import secrets
import time
from typing import Optional, Union

from cartwheel.host.layout import Layout
from cartwheel.host.process.health import NoAnswer, exchange
from cartwheel.host.state import releases
from cartwheel.host.system import files
from cartwheel.host.web import tls
from cartwheel.host.web.chosen import web_server
from cartwheel.host.web.server import Answer, WebServer
from cartwheel.host.wire.health import Probe

HEADER = "X-Cartwheel-Probe"
_TOKEN = re.compile(r"[0-9a-f]{32}")
_AGAIN_SECONDS = 0.1


def ensure_token(at: Layout) -> str:
    """This host's token for `at`, made when it is missing.

    It must be there before the web server reads the site. Only root can read it, and it never
    leaves the host.
    """
    token = known_token(at)
    if token is None:
        token = secrets.token_hex(16)
        files.write(at.probe_map, web_server(at).token_text(token).encode(), 0o600)
    return token


def known_token(at: Layout) -> Optional[str]:
    """The existing token; None if it is missing or damaged. Changes nothing."""
    try:
        text = at.probe_map.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    found = _TOKEN.search(text)
    return found.group() if found and web_server(at).token_text(found.group()) == text else None


def ask(at: Layout, probe: Probe, port: int, release: str) -> str:
    """One request through the web server; "" if `release` answered well as the first upstream
    tried, else the problem."""
    return _ask(at, probe, port, release, ensure_token(at))


def look(at: Layout, probe: Probe, port: int, release: str) -> str:
    """The same for those who only look: it makes no token."""
    token, web = known_token(at), web_server(at).name
    if token is None:
        return f"{at.probe_map} is missing or damaged: {web} cannot say which release answers"
    return _ask(at, probe, port, release, token)


def _ask(at: Layout, probe: Probe, port: int, release: str, token: str) -> str:
    web = web_server(at)
    until = time.monotonic() + web.retry_seconds
    answer = _answer(at, web, probe, port, token)
    while time.monotonic() < until and _is_passed_over(at, web, answer):
        time.sleep(_AGAIN_SECONDS)
        answer = _answer(at, web, probe, port, token)
    wrong = answer if isinstance(answer, str) else _wrong(at, web, answer, probe, release)
    return f"through {web.name}: {wrong}" if wrong else ""


def _answer(at: Layout, web: WebServer, probe: Probe, port: int, token: str) -> Union[Answer, str]:
    """The answer to one request, or why there is none."""
    connection = connected(at, probe, port)
    try:
        response, _body = exchange(connection, probe, {HEADER: token})
    except NoAnswer as error:
        return str(error)
    answer = web.answer(response.getheader(HEADER) or "")
    return answer or f"{probe.path} answered {response.status}, not by this site"


def _is_passed_over(at: Layout, web: WebServer, answer: Union[Answer, str]) -> bool:
    return isinstance(answer, Answer) and answer.upstreams[0] != web.live_upstream(at)


def _wrong(at: Layout, web: WebServer, answer: Answer, probe: Probe, release: str) -> str:
    upstream, status = answer.upstreams[0], answer.statuses[0]
    if status == str(probe.status) and _is_passed_over(at, web, answer):
        return f"{upstream} answered instead of {web.live_upstream(at)}"
    if status != str(probe.status):
        return f"{upstream} said {status} instead of {probe.status}"
    live = answer.release or releases.pointed(at.current)
    if live != release:
        return f"{live} answered instead of {release}"
    return ""


def connected(at: Layout, probe: Probe, port: int) -> http.client.HTTPConnection:
    """As visitors come: over TLS where the site is served over TLS."""
    secure = tls.served_as(at) if tls.end_of(at) == "app" else None
    if secure is not None:
        name = probe.host.partition(":")[0]
        return tls.Connection(secure.port, name, probe.timeout_seconds)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=probe.timeout_seconds)
