"""A site is asked as a visitor would, and no server can hold the monitor up."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cartwheel_monitor import probe
from cartwheel_monitor.watch_list import Site
from tests.kit.certificates import authority, certificate

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
Say = Callable[[socket.socket], None]


@contextmanager
def server(say: Say, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Says that to each connection, after its request."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    def answer(client: socket.socket) -> None:
        try:
            with context.wrap_socket(client, server_side=True) if context else client as one:
                one.recv(65536)
                say(one)
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def asked(say: Say, timeout: float = 5.0) -> probe.Answer:
    with server(say) as port:
        return probe.ask(Site(url=f"http://127.0.0.1:{port}/healthz"), timeout)


def status(line: str) -> Say:
    return lambda client: client.sendall(OK.replace(b"200 OK", line.encode()))


def drip(client: socket.socket) -> None:
    """A byte now and then, for ever."""
    for one in OK * 100:
        client.sendall(bytes([one]))
        time.sleep(0.05)


def hang(_client: socket.socket) -> None:
    time.sleep(5)


@pytest.mark.parametrize(
    ("say", "problem"),
    [
        (lambda client: client.sendall(OK), ""),
        (status("503 Service Unavailable"), "it answered 503"),
        (status("301 Moved"), "it answered 301"),
        (lambda _client: None, "it closed the connection without an answer"),
        (lambda client: client.sendall(b"SSH-2.0-x\r\n"), "SSH-2.0-x"),
        (drip, "no answer within 0.5 s"),
        (hang, "no answer within 0.5 s"),
    ],
    ids=["well", "503", "301", "closed", "other", "drip", "hang"],
)
def test_what_it_says(say: Say, problem: str) -> None:
    began = time.monotonic()
    found = asked(say, 0.5)
    assert found.problem == problem
    assert time.monotonic() - began < 3, "whatever the server does"


def test_nobody_listens() -> None:
    with server(hang) as port:
        pass
    found = probe.ask(Site(url=f"http://127.0.0.1:{port}/"), 5)
    assert (found.problem, found.status) == ("Connection refused", None)


def test_a_name_without_an_address() -> None:
    found = probe.ask(Site(url="http://no-such-name.invalid/"), 5)
    assert found.problem.startswith("its name has no address: ")


def test_the_request_is_for_the_name_at_the_address() -> None:
    heard: list[bytes] = []

    def say(client: socket.socket) -> None:
        client.sendall(OK)

    listener = socket.create_server(("127.0.0.1", 0))

    def once() -> None:
        client, _ = listener.accept()
        heard.append(client.recv(65536))
        say(client)
        client.close()

    thread = threading.Thread(target=once, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    site = Site(url=f"http://shop.example.org:{port}/healthz?x=1", address="127.0.0.1")
    assert probe.ask(site, 5).problem == ""
    thread.join(5)
    listener.close()
    assert heard[0].startswith(b"GET /healthz?x=1 HTTP/1.1\r\n")
    assert f"\r\nHost: shop.example.org:{port}\r\n".encode() in heard[0]


@pytest.mark.parametrize(
    ("days", "name", "problem"),
    [
        (30, "shop.example.org", ""),
        (30, "other.example.org", "its certificate is not valid: "),
        (-1, "shop.example.org", "its certificate is not valid: certificate has expired"),
    ],
)
def test_https(tmp_path: Path, days: int, name: str, problem: str) -> None:
    root = authority()
    issued = certificate(name, by=root, days=(-10, days))
    (tmp_path / "chain.pem").write_text(issued.pem)
    (tmp_path / "key.pem").write_text(issued.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    with server(lambda client: client.sendall(OK), context) as port:
        site = Site(url=f"https://shop.example.org:{port}/", address="127.0.0.1", ca=root.pem)
        found = probe.ask(site, 5)
        unknown = probe.ask(Site(url=site.url, address="127.0.0.1"), 5)
    assert found.problem.startswith(problem)
    assert bool(found.problem) == bool(problem)
    if not problem:
        assert found.until is not None
        assert abs(found.until - time.time() - days * 86400) < 7200
    assert unknown.problem.startswith("its certificate is not valid: ")
