"""Who answered through nginx: the front door alone is blind, because the backup answers
for a dead instance.

The rendered site tells a request that carries this host's token, and nobody else, which
upstreams were tried, what each said, and which release `current` named meanwhile
(templates/nginx-site.conf.j2).
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
from cartwheel.host.wire.health import Probe

HEADER = "X-Cartwheel-Probe"
_TOKEN_LINE = re.compile(r'^"([0-9a-f]{32})" 1;\n\Z')
_ANSWER = re.compile(r"release=(.*); status=([0-9, :-]*); upstream=(.*)\Z")


def ensure_token(at: Layout) -> str:
    """This host's token for `at`, made when it is missing.

    It must be there before nginx reads the site: nginx includes `probe*.map` where it
    exists. Only root can read it, and it never leaves the host.
    """
    known = known_token(at)
    if known:
        return known
    token = secrets.token_hex(16)
    files.write(at.probe_map, '"{}" 1;\n'.format(token).encode(), 0o600)
    return token


def known_token(at: Layout) -> Optional[str]:
    """The token as it is there; None where it is missing or damaged. Changes nothing."""
    try:
        found = _TOKEN_LINE.match(at.probe_map.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return None
    return found.group(1) if found else None


@dataclass(frozen=True)
class Answer:
    """What nginx said of one request: statuses and upstreams in the order they were tried."""

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
    """One request through nginx; "" if `release` answered well as the first upstream tried,
    else what was wrong."""
    return _ask(at, probe, port, release, ensure_token(at))


def look(at: Layout, probe: Probe, port: int, release: str) -> str:
    """The same for those who only look: it makes no token."""
    token = known_token(at)
    if token is None:
        return "{} is missing or damaged: nginx cannot say who answers".format(at.probe_map)
    return _ask(at, probe, port, release, token)


def _ask(at: Layout, probe: Probe, port: int, release: str, token: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=probe.timeout_seconds)
    try:
        response, _body = exchange(connection, probe, {HEADER: token})
    except NoAnswer as error:
        return "through nginx: {}".format(error)
    answer = parse(response.getheader(HEADER) or "")
    if answer is None:
        return "through nginx: {} answered {}, not by this site".format(probe.path, response.status)
    first = "unix:{}/http.sock".format(at.current)
    if answer.upstreams[0] != first or answer.statuses[0] != str(probe.status):
        return "through nginx: {} said {} instead of {}".format(
            answer.upstreams[0], answer.statuses[0], probe.status
        )
    if answer.release != release:
        return "through nginx: {} answered instead of {}".format(answer.release, release)
    return ""
