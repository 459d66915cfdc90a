"""What a real nginx or Apache, and gunicorn, answer to forged, odd and oversized requests: the
table in docs/door.md. None reaches the application with two meanings."""

from __future__ import annotations

import json
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.render.sites import BOTH
from tests.unit.render.test_door import Door

NAME = "shop.example"
HOST = f"Host: {NAME}"
KB = 1024


@pytest.fixture(scope="module")
def door(kind: str) -> Iterator[Door]:
    with tempfile.TemporaryDirectory(prefix="cw-") as name, closing(Door(Path(name), kind)) as site:
        any_size = {"/any": {"client_max_body_size": "0"}}
        limits = {"header_timeout_seconds": 2, "body_timeout_seconds": 2}
        site.web(server_names=(NAME,), paths=any_size, **limits)
        site.serve()
        yield site


def sent(door: Door, text: str | bytes, wait: float = 10) -> bytes:
    """The answer to these very bytes."""
    with socket.create_connection(("127.0.0.1", door.port), wait) as client:
        client.sendall(text if isinstance(text, bytes) else text.encode())
        parts: list[bytes] = []
        try:
            while part := client.recv(65536):
                parts.append(part)
        except (ConnectionResetError, TimeoutError):
            pass
    return b"".join(parts)


def request(first: str, *lines: str, body: str = "") -> str:
    return "\r\n".join([first, *lines, "Connection: close", "", body])


# What, the request, and the status; two where Apache has another one.
ODD = [
    ("HTTP/1.0", request("GET / HTTP/1.0", HOST), 200),
    ("HTTP/1.0 without Host", request("GET / HTTP/1.0"), 200),
    ("no Host", request("GET / HTTP/1.1"), 400),
    ("an empty Host", request("GET / HTTP/1.1", "Host:"), 400),
    ("two Hosts", request("GET / HTTP/1.1", HOST, "Host: evil.example"), 400),
    ("a Host with a path", request("GET / HTTP/1.1", "Host: a/b"), 400),
    ("a Host with @", request("GET / HTTP/1.1", "Host: a@b"), (200, 400)),
    ("another URI", request("GET http://evil.example/x HTTP/1.1", HOST), 200),
    ("HEAD", request("HEAD / HTTP/1.1", HOST), 200),
    ("an unknown method", request("PURGE / HTTP/1.1", HOST), 200),
    ("TRACE", request("TRACE / HTTP/1.1", HOST), 405),
    ("CONNECT", request("CONNECT a:80 HTTP/1.1", HOST), (400, 405)),
    ("a space in the path", request("GET /a b HTTP/1.1", HOST), 400),
    ("%00", request("GET /a%00b HTTP/1.1", HOST), (400, 404)),
    ("above the root", request("GET /../../etc/passwd HTTP/1.1", HOST), 400),
    ("an encoded slash", request("GET /a%2Fb HTTP/1.1", HOST), 200),
    ("a bad escape", request("GET /%zz HTTP/1.1", HOST), 400),
    (
        "Content-Length and chunks",
        request("POST / HTTP/1.1", HOST, "Content-Length: 5", "Transfer-Encoding: chunked",
                body="0\r\n\r\n"),
        (400, 411),
    ),
    (
        "two lengths",
        request("POST / HTTP/1.1", HOST, "Content-Length: 1", "Content-Length: 2", body="ab"),
        400,
    ),
    ("a length with a sign", request("POST / HTTP/1.1", HOST, "Content-Length: +1", body="a"), 400),
    (
        "another Transfer-Encoding",
        request("POST / HTTP/1.1", HOST, "Transfer-Encoding: gzip", body="x"),
        (501, 400),
    ),
    (
        "xchunked",
        request("POST / HTTP/1.1", HOST, "Transfer-Encoding: xchunked", body="0\r\n\r\n"),
        (501, 400),
    ),
    (
        "a space before the colon",
        request("POST / HTTP/1.1", HOST, "Transfer-Encoding : chunked", body="0\r\n\r\n"),
        400,
    ),
    ("a folded header", request("GET / HTTP/1.1", HOST, "X-A: b", " c"), (400, 200)),
    ("a control character", request("GET / HTTP/1.1", HOST, "X-A: b\x00c"), 400),
    ("a URL of 8 kB", request(f"GET /{'a' * (8 * KB - 20)} HTTP/1.1", HOST), 200),
    ("a longer URL", request(f"GET /{'a' * 8 * KB} HTTP/1.1", HOST), 414),
    ("a header of 8 kB", request("GET / HTTP/1.1", HOST, f"Cookie: {'a' * (8 * KB - 20)}"), 200),
    ("a longer header", request("GET / HTTP/1.1", HOST, f"Cookie: {'a' * 8 * KB}"), 400),
    (
        "101 headers",
        request("GET / HTTP/1.1", HOST, *(f"X-{n}: a" for n in range(101))),
        (431, 400),
    ),
    ("11 MB", request("POST / HTTP/1.1", HOST, f"Content-Length: {11 << 20}"), 413),
    ("HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("no HTTP", "hello\r\n\r\n", 400),
]  # fmt: skip


@pytest.mark.parametrize(("text", "status"), [one[1:] for one in ODD], ids=[one[0] for one in ODD])
@BOTH
def test_the_table(door: Door, text: str, status: int | tuple[int, int]) -> None:
    if isinstance(status, tuple):
        status = status[door.server.name == "apache"]
    answer = sent(door, text)
    assert answer.split(b" ", 2)[1:2] == [str(status).encode()], answer[:300]
    assert front(door)


def front(door: Door) -> bool:
    """Whether the next visitor is answered."""
    return door.status("/") == 200


def environ(answer: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])[
        "environ"
    ]
    return found


def test_the_application_sees_one_name(door: Door) -> None:
    """What stands in the first line counts (RFC 9112, 3.2.2)."""
    seen = environ(sent(door, request("GET http://evil.example/x HTTP/1.1", HOST)))
    assert seen["HTTP_HOST"] == seen["HTTP_X_FORWARDED_HOST"]
    assert seen["PATH_INFO"] == "/x"


@pytest.mark.parametrize("kind", ["apache"], indirect=True)
def test_a_body_with_two_lengths_is_read_by_its_chunks(door: Door) -> None:
    """Only where no size is limited, or it is refused. The other length does not reach the
    application (RFC 9112, 6.3)."""
    both = ("Content-Length: 99", "Transfer-Encoding: chunked")
    answer = sent(door, request("POST /any HTTP/1.1", HOST, *both, body="2\r\nab\r\n0\r\n\r\n"))
    seen = environ(answer)
    assert seen["CONTENT_LENGTH"] == "2"
    assert "HTTP_TRANSFER_ENCODING" not in seen


def test_underscores_never_stand_for_hyphens(door: Door) -> None:
    forged: tuple[str, ...] = (
        "X_Forwarded_For: 6.6.6.6",
        "X_Forwarded_Proto: https",
        "Content_Length: 5",
        "X_Own: a",
    )
    if door.server.name == "apache":
        for line in forged[:3]:
            answer = sent(door, request("GET / HTTP/1.1", HOST, line))
            assert answer.startswith(b"HTTP/1.1 400 "), "it cannot remove names by a pattern"
        forged = forged[3:]
    seen = environ(sent(door, request("GET / HTTP/1.1", HOST, *forged)))
    assert seen["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert seen["wsgi.url_scheme"] == "http"
    assert "HTTP_X_OWN" not in seen
    assert "6.6.6.6" not in str(seen)


def test_an_answer_with_a_long_head_passes(door: Door) -> None:
    answer = sent(door, request("GET /?head=12000 HTTP/1.1", HOST))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"a" * 12000 in answer
    assert sent(door, request("GET /?head=20000 HTTP/1.1", HOST)).startswith(b"HTTP/1.1 502 ")


LAST_WORDS = {"nginx": b"", "apache": b"HTTP/1.1 408 "}


def test_slow_clients_are_let_go_and_hold_up_nobody(door: Door) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", door.port), 10) as body:
        body.sendall(request("POST / HTTP/1.1", HOST, "Content-Length: 100").encode())
        with socket.create_connection(("127.0.0.1", door.port), 10) as head:
            head.sendall(b"GET / HTTP/1.1\r\n")
            while time.monotonic() - began < 1:
                head.sendall(b"X-A: b\r\n")
                assert front(door)
                time.sleep(0.2)
            head.settimeout(5)
            assert head.recv(4096)[:13] == LAST_WORDS[door.server.name]
        assert body.recv(4096)[:13] in (b"", LAST_WORDS[door.server.name])
    assert front(door)
