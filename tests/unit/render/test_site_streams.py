"""Websockets and server-sent events through the rendered site, in a real nginx. The instances are
sockets of this test: they send what no server would, and know what nginx has taken from them."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from socket import SocketIO
from typing import Protocol

import pytest

from cartwheel.host.web import front_door, traffic
from cartwheel.host.web.kinds import named
from cartwheel.host.web.traffic import Share
from tests.kit.waiting import until
from tests.unit.render.sites import BOTH, SecureSite, Site

_PATIENCE_SECONDS = 10
# More than the sockets take before somebody reads, and less than nginx puts into a file.
_MUCH = 64 << 20
EVENTS = "Accept: text/event-stream"
UPGRADE = ("Connection: keep-alive, Upgrade", "Upgrade: WebSocket")
# No length, and no chunks: the answer ends with its connection.
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Answer = Callable[[SocketIO], None]


class Instance:
    """Answers each connection as scripted, one after the other; keeps the heads it was sent."""

    def __init__(self, site: Site, release: str, *answers: Answer) -> None:
        folder = site.at.release(release)
        folder.mkdir(parents=True)
        self.heads: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.problems: list[BaseException] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "http.sock"))
        (folder / "http.sock").chmod(0o770)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, args=(answers,), daemon=True)
        self._thread.start()

    def _serve(self, answers: tuple[Answer, ...]) -> None:
        try:
            for answer in answers:
                connection, _ = self._listener.accept()
                connection.settimeout(_PATIENCE_SECONDS)
                with connection, connection.makefile("rwb", buffering=0) as both:
                    self._read(both)
                    answer(both)
        except BaseException as error:
            self.problems.append(error)
        finally:
            self._listener.close()

    def _read(self, both: SocketIO) -> None:
        lines = iter(lambda: both.readline().decode().strip(), "")
        head = {"": next(lines)}
        for line in lines:
            name, _, value = line.partition(": ")
            head[name.lower()] = value
        length = int(head.get("content-length", "0"))
        body = b""
        while len(body) < length:
            body += both.read(length - len(body))
        self.heads.append(head)
        self.bodies.append(body)

    def ended(self) -> None:
        """It has answered everything as scripted."""
        self._thread.join(_PATIENCE_SECONDS)
        assert not self._thread.is_alive()
        assert self.problems == []


def says(text: bytes) -> Answer:
    def answer(both: SocketIO) -> None:
        both.write(text)

    return answer


def send_all(both: SocketIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[both.write(rest) :]


@pytest.fixture
def site(kind: str) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="cw-") as name, closing(Site(Path(name), kind)) as site:
        yield site


def serve(site: Site, *answers: Answer) -> Instance:
    """Release 1 serves, alone."""
    instance = Instance(site, "1", *answers)
    for link in (site.at.current, site.at.fallback):
        site.point(link, "1")
    site.start()
    return instance


class Listens(Protocol):
    port: int


class Client:
    """One connection to the site."""

    def __init__(
        self,
        site: Listens,
        *headers: str,
        request: str = "GET /events?x=1 HTTP/1.1",
        body: bytes = b"",
        host: str = "shop.example",
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", site.port), _PATIENCE_SECONDS)
        self.file = self._socket.makefile("rwb", buffering=0)
        lines = [request, *([f"Host: {host}"] if host else []), *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        send_all(self.file, "".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body)

    def head(self) -> list[str]:
        return list(iter(lambda: self.file.readline().decode().strip(), ""))

    def line(self) -> bytes:
        """The next line that is not the length of a chunk."""
        while True:
            line = self.file.readline()
            if line.startswith(b"data") or not line:
                return line.strip()

    def rest(self) -> bytes:
        return b"".join(iter(lambda: self.file.read(1 << 20) or b"", b""))

    def close(self) -> None:
        self.file.close()
        self._socket.close()


@BOTH
def test_a_websocket_passes(site: Site) -> None:
    def echo(both: SocketIO) -> None:
        both.write(SWITCHED)
        both.write(both.read(4))

    instance = serve(site, echo)
    with closing(Client(site, *UPGRADE, "Sec-WebSocket-Version: 13")) as client:
        assert client.head()[0] == "HTTP/1.1 101 Switching Protocols"
        client.file.write(b"\x01\x00\xff\n")
        assert client.file.read(4) == b"\x01\x00\xff\n"
        assert client.file.read(1) == b"", "the end of one side ends the other"
    instance.ended()
    (head,) = instance.heads
    assert (head["connection"].lower(), head["upgrade"]) == ("upgrade", "websocket")
    assert head["sec-websocket-version"] == "13"
    assert head["x-forwarded-for"] == "127.0.0.1"
    assert len(head["x-request-id"]) == 32
    counts(site, 0.0, Share(1, 0))


def counts(site: Site, since: float, wanted: Share) -> None:
    """What a release that began to serve at `since` is judged by."""
    path = site.folder / "shop.live.access.log"

    def found() -> Share:
        return site.count(traffic.tail(path), since)

    until(lambda: found() == wanted, shown=f"{wanted} in {path.read_text()}")


def test_only_websockets_are_upgraded_and_only_where_the_client_asks(site: Site) -> None:
    """Whatever else passed (h2c) would be a tunnel around this site."""
    wrong = [
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
        ("Connection: Upgrade", "Upgrade: h2c, websocket"),
        ("Connection: keep-alive", "Upgrade: websocket"),
        ("Upgrade: websocket",),
        ("Connection: upgraded", "Upgrade: websocket"),
        ("Connection: Upgrade",),
        (),
    ]
    instance = serve(site, *[says(OK)] * (len(wrong) + 1))
    requests = [(headers, "GET / HTTP/1.1") for headers in wrong] + [(UPGRADE, "GET / HTTP/1.0")]
    for headers, request in requests:
        with closing(Client(site, *headers, request=request)) as client:
            assert client.head()[0] == "HTTP/1.1 200 OK", headers
    instance.ended()
    found = [(head["connection"], head.get("upgrade")) for head in instance.heads]
    assert found == [("close", None)] * len(requests)


@pytest.mark.parametrize(
    ("request_line", "accept"),
    [
        ("GET /events HTTP/1.1", EVENTS),
        ("GET /events HTTP/1.1", "accept: Text/Event-Stream;q=0.9, */*"),
        ("POST /ask HTTP/1.1", "Accept: application/json, text/event-stream"),
    ],
)
def test_events_arrive_one_by_one(site: Site, request_line: str, accept: str) -> None:
    """The second is sent once the first has arrived, by an answer without length."""
    arrived = threading.Event()

    def events(both: SocketIO) -> None:
        both.write(HEAD + b"data: one\n\n")
        assert arrived.wait(_PATIENCE_SECONDS)
        both.write(b"data: two\n\n")

    instance = serve(site, events)
    body = b"x" * 100_000 if request_line.startswith("POST") else b""
    with closing(Client(site, accept, request=request_line, body=body)) as client:
        assert client.head()[0] == "HTTP/1.1 200 OK"
        assert client.line() == b"data: one"
        arrived.set()
        assert client.line() == b"data: two"
    instance.ended()
    (head,) = instance.heads
    assert (head[""], instance.bodies) == (request_line, [body])
    assert (head["connection"], head.get("upgrade")) == ("close", None)
    assert (head["x-forwarded-proto"], head["x-forwarded-port"]) == ("http", str(site.port))
    counts(site, 0.0, Share(1, 0))


@pytest.mark.parametrize(
    ("accept", "head"),
    [
        (EVENTS, HEAD),
        (EVENTS, HEAD.replace(b"event-stream", b"html")),
        ("Accept: */*", HEAD.replace(b"\r\n\r\n", b"\r\nX-Accel-Buffering: no\r\n\r\n")),
        ("Accept: */*", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"),
    ],
)
def test_compression_holds_no_piece_back(site: Site, accept: str, head: bytes) -> None:
    """Plain text may be lines of a log: it is not compressed either."""
    arrived = threading.Event()

    def pieces(both: SocketIO) -> None:
        both.write(head + b"data: one\n\n")
        assert arrived.wait(_PATIENCE_SECONDS)
        both.write(b"data: two\n\n")

    instance = serve(site, pieces)
    is_held = accept != EVENTS and b"X-Accel" not in head  # as always: an answer without length
    with closing(Client(site, accept, "Accept-Encoding: gzip")) as client:
        if is_held:
            arrived.set()
        assert not any(line.startswith("Content-Encoding") for line in client.head())
        assert client.line() == b"data: one"
        arrived.set()
        assert client.line() == b"data: two"
    instance.ended()


def test_compressed_pieces_are_sent_at_once_where_the_app_says_so(site: Site) -> None:
    arrived = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Accel-Buffering: no\r\n\r\n"

    def pieces(both: SocketIO) -> None:
        both.write(head + b"one\n")
        assert arrived.wait(_PATIENCE_SECONDS)
        both.write(b"two\n")

    instance = serve(site, pieces)
    unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16)
    with closing(Client(site, "Accept-Encoding: gzip")) as client:
        assert "Content-Encoding: gzip" in client.head()
        for wanted in (b"one\n", b"two\n"):
            text = b""
            while text != wanted:
                size = int(client.file.readline(), 16)
                assert size, "it ended too early"
                text += unpacked.decompress(client.file.read(size) or b"")
                client.file.readline()
            arrived.set()
    instance.ended()


@pytest.mark.parametrize(
    ("accept", "is_buffered"),
    [
        ("Accept: */*", True),
        ("Accept: text/html, text/event-stream-not", True),
        ("X-Accept: text/event-stream", True),
        (EVENTS, False),
    ],
)
def test_only_streams_are_not_buffered(site: Site, accept: str, is_buffered: bool) -> None:
    """nginx takes all of an answer before its client reads any of it, so a slow client holds no
    worker of the app. Apache buffers no answer."""
    is_buffered = is_buffered and site.server.name == "nginx"
    taken = threading.Event()

    def much(both: SocketIO) -> None:
        both.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _MUCH)
        send_all(both, bytes(_MUCH))
        taken.set()

    instance = serve(site, much)
    with closing(Client(site, accept, "Connection: close")) as client:
        client.head()
        assert taken.wait(_PATIENCE_SECONDS if is_buffered else 1.0) is is_buffered
        assert len(client.rest()) == _MUCH
    instance.ended()


@BOTH
def test_an_upload_is_passed_on_once_it_is_whole(site: Site) -> None:
    """A slow visitor holds no worker of the app; and whoever answers instead gets all of it."""
    instance = Instance(site, "1", says(OK))
    site.at.release("2").mkdir()
    for link, release in ((site.at.current, "2"), (site.at.fallback, "1")):
        site.point(link, release)
    site.start()
    half = b"x" * 100_000
    length = f"Content-Length: {2 * len(half)}"
    with closing(Client(site, length, request="POST /up HTTP/1.1")) as client:
        send_all(client.file, half)
        time.sleep(0.5)
        assert instance.heads == []
        send_all(client.file, half)
        assert client.head()[0] == "HTTP/1.1 200 OK"
    instance.ended()
    assert instance.bodies == [half + half]
    assert instance.heads[0]["content-length"] == str(2 * len(half))


@pytest.mark.nightly
def test_silence_ends_no_stream_and_no_websocket(site: Site) -> None:
    """The time limits for slow clients are none for them."""
    web = site.settings.web.model_copy(
        update={"header_timeout_seconds": 1, "body_timeout_seconds": 1}
    )
    site.settings = site.settings.model_copy(update={"web": web})

    def later(both: SocketIO) -> None:
        both.write(HEAD)
        time.sleep(2.5)
        both.write(b"data: one\n\n")

    def echo(both: SocketIO) -> None:
        both.write(SWITCHED)
        both.write(both.read(4))

    instance = serve(site, later, echo)
    with closing(Client(site, EVENTS)) as client:
        client.head()
        assert client.line() == b"data: one"
    with closing(Client(site, *UPGRADE)) as client:
        client.head()
        time.sleep(2.5)
        client.file.write(b"late")
        assert client.file.read(4) == b"late"
    instance.ended()


@BOTH
def test_the_fallback_answers_streams_too(site: Site) -> None:
    instance = serve(site, says(HEAD + b"data: one\n\n"))
    site.at.release("2").mkdir()
    site.point(site.at.current, "2")
    probe = f"X-Cartwheel-Probe: {site.token}"
    with closing(Client(site, EVENTS, probe)) as client:
        head = client.head()
        assert client.line() == b"data: one"
    instance.ended()
    (told,) = [line.partition(": ")[2] for line in head if line.startswith(front_door.HEADER)]
    answer = named(site.server.name).answer(told)
    assert answer is not None
    seen = {"nginx": ("2", ("502", "200")), "apache": (None, ("200",))}
    assert (answer.release, answer.statuses) == seen[site.server.name]
    assert "x-cartwheel-probe" not in instance.heads[0]
    with closing(Client(site, EVENTS)) as client:
        assert client.head()[0].startswith("HTTP/1.1 503 "), "there is no maintenance page"
    counts(site, 0.0, Share(1, 1))


def test_a_stream_without_an_instance_gets_the_maintenance_page(site: Site) -> None:
    serve(site)
    (site.at.release("1") / "http.sock").unlink(missing_ok=True)
    (site.at.release("1") / "maintenance.html").write_text("back soon")
    for headers in ((EVENTS,), UPGRADE):
        with closing(Client(site, *headers)) as client:
            head = client.head()
            assert head[0].split()[1] == {"nginx": "502", "apache": "503"}[site.server.name]
            assert "Content-Type: text/html" in head
            assert client.file.read(9) == b"back soon"
    (site.at.release("1") / "maintenance.html").unlink()
    with closing(Client(site, EVENTS)) as client:
        assert client.head()[0].split()[1] in ("502", "503")


def test_what_is_cut_counts_as_what_it_began_as(site: Site) -> None:
    """By the switch, or by an instance that dies: the answer had begun. So it is no failure of the
    release that serves now, and one that was open before the switch does not count at all."""
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
    end = threading.Event()

    def later(text: bytes) -> Answer:
        def answer(both: SocketIO) -> None:
            both.write(text)
            assert end.wait(_PATIENCE_SECONDS)

        return answer

    instance = serve(site, later(cut), says(SWITCHED), says(cut))
    with closing(Client(site, EVENTS)) as first:
        assert first.head()[0] == "HTTP/1.1 200 OK"
        assert first.line() == b"data: 1"
        time.sleep(0.1)  # the log's times are rounded
        switched = time.time()
        time.sleep(0.1)
        end.set()
        assert first.line() == b""
    for headers in (UPGRADE, (EVENTS,)):
        with closing(Client(site, *headers)) as client:
            client.head()
            client.rest()
    instance.ended()
    counts(site, 0.0, Share(3, 0))
    counts(site, switched, Share(2, 0))


def test_large_bodies_are_refused_for_streams_too(site: Site) -> None:
    serve(site)
    too_large = "Content-Length: 99999999"
    for headers in ((EVENTS, too_large), (*UPGRADE, too_large)):
        with closing(Client(site, *headers, request="POST / HTTP/1.1")) as client:
            assert client.head()[0].startswith("HTTP/1.1 413 ")


def test_static_files_and_probes_are_as_before(site: Site) -> None:
    instance = serve(site, says(OK))
    folder = site.at.release("1") / "venv/lib/python3.11/site-packages/shop/static"
    folder.mkdir(parents=True)
    (folder / "a.css").write_text("css")
    with closing(Client(site, EVENTS, request="GET /static/a.css HTTP/1.1")) as client:
        assert "Content-Type: text/css" in client.head()
    assert site.ask("1") == ""
    instance.ended()


def test_both_ways_send_the_same_headers(site: Site) -> None:
    instance = serve(site, says(OK), says(OK))
    forged = ("X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Forwarded-Ssl: on")
    for accept in ("Accept: */*", EVENTS):
        with closing(Client(site, accept, *forged)) as client:
            client.head()
    instance.ended()
    one, other = instance.heads
    assert one.pop("accept") != other.pop("accept")
    assert one.pop("x-request-id") != other.pop("x-request-id")
    assert one == other
    assert json.dumps(one).count("6.6.6.6") == 0


def test_events_over_http2(kind: str) -> None:
    arrived = threading.Event()

    def events(both: SocketIO) -> None:
        both.write(HEAD + b"data: one\n\n")
        assert arrived.wait(_PATIENCE_SECONDS)
        both.write(b"data: two\n\n")

    folder = tempfile.TemporaryDirectory(prefix="cw-")
    with folder as name, closing(SecureSite(Path(name), kind)) as site:
        instance = serve(site, events)
        url = f"https://127.0.0.1:{site.secure_port}/events"
        client = subprocess.Popen(
            ["curl", "-sSkN", "--max-time", "10", "-D", "-", "-H", EVENTS, url],
            stdout=subprocess.PIPE,
        )
        try:
            assert client.stdout is not None
            head = list(iter(client.stdout.readline, b"\r\n"))
            assert head[0].startswith(b"HTTP/2 200")
            assert client.stdout.readline() == b"data: one\n"
            arrived.set()
            assert client.stdout.read() == b"\ndata: two\n\n"
            assert client.wait(_PATIENCE_SECONDS) == 0
        finally:
            client.kill()
            client.communicate()
        instance.ended()
        assert instance.heads[0]["x-forwarded-proto"] == "https"
