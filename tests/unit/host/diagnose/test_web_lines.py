"""Lines that a real nginx 1.22 and a real Apache 2.4 wrote on a lab host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel.diagnosis import web_errors as rules
from cartwheel.host.diagnose.web_errors import KINDS
from cartwheel.host.web.kinds import KINDS as SERVERS
from cartwheel.host.web.kinds import named
from cartwheel.host.web.server import WebServer

LINES = Path(__file__).parent / "lines"

VISITS = [
    # server, line, path, status, seconds, passed, answered, is_closed, is_probe
    (
        "nginx",
        '127.0.0.1 [2026-11-30T16:42:36+00:00] localhost "GET /healthz HTTP/1.1" 200 44 "-"'
        ' "cartwheel-probe" id=9d825fb19f5ec8f254db20ae30074f68 time=0.001'
        ' upstream="unix:/srv/hello/current/http.sock" upstream_status="200" upstream_time="0.001"'
        " at=1796056956.608 probe=1",
        (b"/healthz", 200, 0.001, True, True, False, True),
    ),
    (
        "nginx",
        '127.0.0.1 [2026-11-30T16:44:20+00:00] localhost "GET /two HTTP/1.1" 502 694 "-"'
        ' "curl/7.88.1" id=29456fd9089630ecdea5266a97d96181 time=0.000'
        ' upstream="unix:/srv/hello/current/http.sock, unix:/srv/hello/fallback/http.sock"'
        ' upstream_status="502, 502" upstream_time="0.100, 0.200" at=1796057060.870 probe=',
        (b"/two", 502, 0.3, True, False, False, False),
    ),
    (
        "nginx",
        '127.0.0.1 [2026-11-30T16:44:20+00:00] localhost "POST /upload HTTP/1.1" 413 176 "-"'
        ' "curl/7.88.1" id=6357d4a2689597e034a6547cd0adfed2 time=0.000 upstream="-"'
        ' upstream_status="-" upstream_time="-" at=1796057060.943 probe=',
        (b"/upload", 413, 0.0, False, False, False, False),
    ),
    (
        "nginx",
        '127.0.0.1 [2026-11-30T16:44:22+00:00] localhost "GET /slow?seconds=5 HTTP/1.1" 499 0 "-"'
        ' "curl/7.88.1" id=17312da6ef0f28ce0f104b30962d9f34 time=1.001'
        ' upstream="unix:/srv/hello/current/http.sock" upstream_status="-" upstream_time="1.001"'
        " at=1796057062.009 probe=",
        (b"/slow", 499, 1.001, True, False, False, False),
    ),
    (
        "nginx",
        '::1 [2026-11-30T16:44:22+00:00] _ "\\x16\\x03\\x01 x" 400 150 "-" "-"'
        ' id=9595b79692fdbd8b8b159ae59252ee97 time=0.003 upstream="-" upstream_status="-"'
        ' upstream_time="-" at=1796057062.075 probe=',
        (b"\\x16\\x03\\x01", 400, 0.003, False, False, False, False),
    ),
    (
        "nginx",
        '127.0.0.1 [2026-11-30T17:01:52+00:00] localhost "GET /q\\x22uo?te HTTP/1.1" 404 207'
        ' "\\x5C\\x22" "a \\x22b\\x5C\\x22 c" id=21d67aff62f749ff8f22d454290d0643 time=0.003'
        ' upstream="unix:/srv/hello/current/http.sock" upstream_status="404" upstream_time="0.002"'
        " at=1796058112.610 probe=",
        (b"/q\\x22uo", 404, 0.002, True, True, False, False),
    ),
    # A balancer's line has no `probe`.
    (
        "nginx",
        '127.0.0.1 [2026-11-30T16:44:20+00:00] localhost "GET /a HTTP/1.1" 503 694 "-"'
        ' "curl/7.88.1" id=29456fd9089630ecdea5266a97d96181 time=0.004'
        ' upstream="unix:/run/cartwheel/.balancer.hello/1" upstream_status="503"'
        ' upstream_time="0.004" at=1796057060.870',
        (b"/a", 503, 0.004, True, True, False, False),
    ),
    (
        "apache",
        '127.0.0.1 [2026-11-30T16:45:57+0000] localhost "GET /slow?seconds=1.2 HTTP/1.1" 200 40'
        ' "-" "curl/7.88.1" id=b7e076e38a61cf3e442d69032ccf0a2b time=1202'
        ' upstream="http://hola.current" began=1796057157958 probe=-',
        (b"/slow", 200, 1.202, True, True, False, False),
    ),
    (
        "apache",
        '127.0.0.1 [2026-11-30T16:45:59+0000] localhost "GET /two HTTP/1.1" 503 693 "-"'
        ' "curl/7.88.1" id=57e0dda95c70c953697d7b52aa2b0206 time=0 upstream="http://hola.fallback"'
        " began=1796057159169 probe=-",
        (b"/two", 503, 0.0, True, False, False, False),
    ),
    (
        "apache",
        '127.0.0.1 [2026-11-30T16:46:01+0000] localhost "POST /upload HTTP/1.1" 413 356 "-"'
        ' "curl/7.88.1" id=0b0a1ddc39378c06c775f9d88808f3eb time=0 upstream="-"'
        " began=1796057161614 probe=-",
        (b"/upload", 413, 0.0, False, False, False, False),
    ),
    (
        "apache",
        '127.0.0.1 [2026-11-30T16:45:03+0000] localhost "GET /healthz HTTP/1.1" 200 45 "-"'
        ' "cartwheel-probe" id=36bdf0c071920768b4694c68992bc859 time=1'
        ' upstream="http://hola.current" began=1796057103528 probe=1',
        (b"/healthz", 200, 0.001, True, True, False, True),
    ),
    (
        "apache",
        '::1 [2026-11-30T16:46:02+0000] hola.cartwheel.invalid "\\x16\\x03\\x01 x" 400 266 "-" "-"'
        ' id=- time=0 upstream="-" began=1796057162664 probe=-',
        (b"\\x16\\x03\\x01", 400, 0.0, False, False, False, False),
    ),
    (
        "apache",
        '127.0.0.1 [2026-11-30T17:01:52+0000] localhost "GET /q\\"uo?te HTTP/1.1" 404 207 "\\\\\\""'
        ' "a \\"b\\\\\\" c" id=c12a313759d6b040345de54c4ddb3f14 time=1'
        ' upstream="http://hola.current" began=1796058112030 probe=-',
        (b"/q", 404, 0.001, True, True, False, False),
    ),
]


@pytest.mark.parametrize(("server", "line", "wanted"), VISITS)
def test_a_visit(server: str, line: str, wanted: tuple[bytes | int | float | bool, ...]) -> None:
    [visit] = named(server).visits(line.encode() + b"\n")
    found = (visit.path, visit.status, round(visit.seconds, 6), visit.passed, visit.answered)
    assert (*found, visit.is_closed, visit.is_probe) == wanted
    # The time that a line is found by is that of the visit, but for how long it took.
    at, _ = named(server).look_at(line)
    assert at is not None
    assert 0 <= visit.at - at <= visit.seconds + 0.001


@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.name)
def test_lines_of_another_format_are_no_visits(kind: WebServer) -> None:
    combined = b'127.0.0.1 - - [30/Nov/2026:16:42:36 +0000] "GET / HTTP/1.1" 200 44 "-" "curl"\n'
    assert list(kind.visits(combined + b"\n\xff\xfe\n" + combined)) == []


def errors() -> Iterator[tuple[str, str, str, str, str]]:
    """The server, the kind or `-`, what it is about, the request's path, the line."""
    for server in SERVERS:
        for text in (LINES / f"{server.name}_errors.txt").read_text().splitlines():
            kind, about, path, line = text.split("\t")
            yield server.name, kind, about, path, line


@pytest.mark.parametrize(("server", "kind", "about", "path", "line"), list(errors()))
def test_an_error(server: str, kind: str, about: str, path: str, line: str) -> None:
    found = named(server).trouble(line)
    if kind == "-":
        assert found is None
        return
    assert found is not None
    assert (found.kind, found.about, found.path) == (kind, about, path)
    assert found.at == named(server).look_at(line)[0]


def test_each_kind_of_error_is_tried_known_and_judged() -> None:
    tried = {kind for _, kind, *_ in errors()} - {"-"}
    assert tried >= set(KINDS) - {"memory"}
    assert tried <= set(KINDS)
    elsewhere = {"body", "rate", "certificate", "configuration"}
    assert set(rules.KINDS) | elsewhere == set(KINDS)
