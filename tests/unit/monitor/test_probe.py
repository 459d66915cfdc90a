"""A site is asked as a visitor would, and no server can hold the monitor up."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cartwheel_monitor import probe
from cartwheel_monitor.watch_list import Site
from tests.kit.certificates import authority, certificate

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
Say = Callable[[socket.socket], None]


@contextmanager
def server(say: Say, context: ssl.SSLContext | None = None, pause: float = 0.0) -> Iterator[int]:
    """Says that to each connection, after its request; `pause`: before a handshake."""
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
            time.sleep(pause)
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


def test_the_request_is_for_the_name() -> None:
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
    site = Site(url=f"http://localhost:{port}/healthz?x=1")
    assert probe.ask(site, 5).problem == ""
    thread.join(5)
    listener.close()
    assert heard[0].startswith(b"GET /healthz?x=1 HTTP/1.1\r\n")
    assert f"\r\nHost: localhost:{port}\r\n".encode() in heard[0]


@pytest.mark.parametrize(("lookup", "pause"), [(0.7, 0.0), (0.3, 0.4)], ids=["name", "handshake"])
def test_an_answer_that_is_late_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lookup: float, pause: float
) -> None:
    """However the time was spent."""
    find = socket.getaddrinfo

    def slow(*given: object, **more: object) -> object:
        time.sleep(lookup)
        return find(*given, **more)  # type: ignore[arg-type]  # as they were given

    context, root = secured(tmp_path)
    with server(lambda client: client.sendall(OK), context, pause) as port:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        site = Site(url=f"https://localhost:{port}/", ca=root)
        found = probe.ask(site, 0.5)
    assert found.problem == "no answer within 0.5 s"


def test_a_handshake_that_never_ends() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            client.sendall(b"\x16\x03\x03\x40\x00")  # a long part of a handshake
            while True:
                client.sendall(b"\0")
                time.sleep(0.05)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    began = time.monotonic()
    found = probe.ask(Site(url=f"https://127.0.0.1:{listener.getsockname()[1]}/"), 0.5)
    assert found.problem == "no answer within 0.5 s"
    assert time.monotonic() - began < 3
    listener.close()
    thread.join(10)


def test_another_address_of_the_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(lambda client: client.sendall(OK)) as port:
        answers = [(2, 1, 6, "", (one, port)) for one in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **_more: (
            answers if given[0] == "shop.example.org" else [(2, 1, 6, "", (given[0], port))]
        ))  # fmt: skip
        assert probe.ask(Site(url=f"http://shop.example.org:{port}/"), 5).problem == ""


def secured(folder: Path, name: str = "localhost", days: int = 30) -> tuple[ssl.SSLContext, str]:
    """A server's side of TLS, and who vouches for it."""
    root = authority()
    issued = certificate(name, by=root, days=(-10, days))
    (folder / "chain.pem").write_text(issued.pem)
    (folder / "key.pem").write_text(issued.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return context, root.pem


@pytest.mark.parametrize(
    ("days", "name", "problem"),
    [
        (30, "localhost", ""),
        (30, "other.example.org", "its certificate is not valid: "),
        (-1, "localhost", "its certificate is not valid: certificate has expired"),
    ],
)
def test_https(tmp_path: Path, days: int, name: str, problem: str) -> None:
    context, root = secured(tmp_path, name, days)
    with server(lambda client: client.sendall(OK), context) as port:
        site = Site(url=f"https://localhost:{port}/", ca=root)
        found = probe.ask(site, 5)
        unknown = probe.ask(Site(url=site.url), 5)
    assert found.problem.startswith(problem)
    assert bool(found.problem) == bool(problem)
    if not problem:
        assert found.until is not None
        assert abs(found.until - time.time() - days * 86400) < 7200
    assert unknown.problem.startswith("its certificate is not valid: ")


def test_a_private_ca_without_the_newest_extensions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.13 is strict by default; browsers are not, and the site is up."""
    lenient = ssl.create_default_context

    def strict(*words: object, **named: object) -> ssl.SSLContext:
        made = lenient(*words, **named)  # type: ignore[arg-type]  # passed on as it is
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made

    monkeypatch.setattr(ssl, "create_default_context", strict)
    context, root = secured(tmp_path)
    with server(lambda client: client.sendall(OK), context) as port:
        assert probe.ask(Site(url=f"https://localhost:{port}/", ca=root), 5).problem == ""
