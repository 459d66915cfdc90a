"""What a host fetches from the fleet's store: just the bytes that were published, or nothing."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.look import facts
from cartwheel.host.release import fetch, prepare
from cartwheel.host.system import transfer
from cartwheel.host.system.context import ContactLost, OpError
from cartwheel.host.wire.download import File, Source
from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.making import Upload
from tests.unit.hostside import Session, host_in

WHEEL = b"the wheel" * 100_000
SHA = hashlib.sha256(WHEEL).hexdigest()
NAME = "shop-1.0-py3-none-any.whl"
LOGIN = ("reader", Hidden("hunter2"))
WORD = "Basic " + base64.b64encode(b"reader:hunter2").decode()

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers each path as told; what it was asked is kept, with who asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers.get("Authorization")))
                outer.answers[self.path](self)

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def body(data: bytes, *, promised: int | None = None, status: int = 200) -> Answer:
    def answer(to: BaseHTTPRequestHandler) -> None:
        to.send_response(status)
        to.send_header("Content-Length", str(len(data) if promised is None else promised))
        to.end_headers()
        to.wfile.write(data)

    return answer


def moved(where: str) -> Answer:
    def answer(to: BaseHTTPRequestHandler) -> None:
        to.send_response(302)
        to.send_header("Location", where)
        to.send_header("Content-Length", "0")
        to.end_headers()

    return answer


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    one = host_in(tmp_path, monkeypatch)
    one.cache.mkdir()
    monkeypatch.setattr(fetch, "_PAUSE_SECONDS", 0.01)
    return one


def fetched(
    at: Layout,
    url: str,
    session: Session | None = None,
    *,
    timeout_seconds: float = 5,
    login: tuple[str, Hidden] | None = LOGIN,
) -> bool | None:
    source = Source(url, len(WHEEL), timeout_seconds, login)
    request = Upload(File(NAME, SHA), source)
    return prepare.upload((session or Session(at)).ctx(), request).changed


def there(at: Layout) -> list[str]:
    """Every file of the cache; no half of one stays."""
    return [path.name for path in at.cache.rglob("*") if path.is_file()]


def test_it_is_kept_under_its_digest_and_not_asked_for_again(server: Server, at: Layout) -> None:
    server.answers["/wheel"] = body(WHEEL)
    assert fetched(at, f"{server.url}/wheel") is True
    path = at.cache / "wheels" / SHA / NAME
    assert path.read_bytes() == WHEEL
    assert path.stat().st_mode & 0o777 == 0o644
    assert facts._cached(at.cache / "wheels") == [SHA]
    assert fetched(at, f"{server.url}/wheel") is False
    assert server.asked == [("/wheel", WORD)]


@pytest.mark.parametrize(
    ("answer", "slug", "said"),
    [
        (body(b"x" * len(WHEEL)), "store-damaged", "/wheel differs from what was published"),
        (body(WHEEL + b"more"), "store-damaged", "/wheel differs from what was published"),
        (body(WHEEL[:-1]), "store-damaged", "/wheel differs from what was published"),
        (body(b""), "store-damaged", "/wheel differs from what was published"),
        (body(WHEEL[:-1], promised=len(WHEEL)), "store-unreachable", "it ended after 899999 of"),
        (body(b"who?", status=401), "store-refuses", "/wheel answers 401 Unauthorized"),
        (body(b"gone", status=404), "store-refuses", "/wheel answers 404 Not Found"),
        (body(b"busy", status=503), "store-unreachable", "/wheel answers 503 Service Unavailable"),
        (moved("ftp://127.0.0.1/wheel"), "store-refuses", "/wheel answers 302"),
        (moved("file:///etc/passwd"), "store-refuses", "/wheel answers 302"),
        (moved("/wheel?token=hunter2"), "store-refuses", "/wheel answers 302"),
    ],
)
def test_anything_else_is_one_line_and_nothing_is_kept(
    server: Server, at: Layout, answer: Answer, slug: str, said: str
) -> None:
    # The query belongs to the address, and shows in no message.
    server.answers["/wheel?token=hunter2"] = answer
    with pytest.raises(OpError) as caught:
        fetched(at, f"{server.url}/wheel?token=hunter2")
    assert caught.value.slug == slug
    assert said in caught.value.message
    assert server.url in caught.value.message
    assert "\n" not in caught.value.message
    assert "hunter2" not in caught.value.message
    assert there(at) == []


def test_a_store_that_is_down(at: Layout) -> None:
    with pytest.raises(OpError, match="cannot be fetched: Connection refused") as caught:
        fetched(at, "http://127.0.0.1:9/wheel")
    assert caught.value.slug == "store-unreachable"


def test_a_busy_store_is_asked_again(server: Server, at: Layout) -> None:
    def busy(to: BaseHTTPRequestHandler) -> None:
        (body(WHEEL) if len(server.asked) == 3 else body(b"", status=503))(to)

    server.answers["/wheel"] = busy
    assert fetched(at, f"{server.url}/wheel") is True
    assert len(server.asked) == 3


def test_who_we_are_is_told_to_one_server_only(server: Server, at: Layout) -> None:
    other = Server()
    try:
        server.answers["/wheel"] = moved("/next")
        server.answers["/next"] = moved(f"{other.url}/wheel")
        other.answers["/wheel"] = body(WHEEL)
        fetched(at, f"{server.url}/wheel")
    finally:
        other.close()
    assert server.asked == [("/wheel", WORD), ("/next", WORD)]
    assert other.asked == [("/wheel", None)]


def test_nobody_has_to_say_who_they_are(server: Server, at: Layout) -> None:
    server.answers["/wheel"] = body(WHEEL)
    fetched(at, f"{server.url}/wheel", login=None)
    assert server.asked == [("/wheel", None)]


def test_no_proxy_on_the_way_to_this_machine(
    server: Server, at: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(OpError, match="Connection refused"):
        fetched(at, "http://store.invalid/wheel")
    server.answers["/wheel"] = body(WHEEL)
    assert fetched(at, f"{server.url}/wheel") is True


def stall(to: BaseHTTPRequestHandler) -> None:
    body(WHEEL[:1000], promised=len(WHEEL))(to)
    to.wfile.flush()
    time.sleep(30)


def test_a_store_that_stalls_is_told_of_and_given_up(
    server: Server, at: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_EVERY_SECONDS", 0.1)
    server.answers["/wheel"] = stall
    session = Session(at)
    with pytest.raises(OpError, match="cannot be fetched: timed out") as caught:
        fetched(at, f"{server.url}/wheel", session, timeout_seconds=1)
    assert caught.value.slug == "store-unreachable"
    stalled = "0.0 of 0.9 MB fetched (0 %), stalled"
    assert {"step": "", "state": "progress", "detail": stalled} in session.events
    assert there(at) == []


def test_lost_contact_ends_it_at_once(server: Server, at: Layout) -> None:
    server.answers["/wheel"] = stall
    session = Session(at)
    threading.Timer(0.5, session.lost.set).start()
    began = time.monotonic()
    with pytest.raises(ContactLost):
        fetched(at, f"{server.url}/wheel", session, timeout_seconds=20)
    assert time.monotonic() - began < 10
    assert there(at) == []


def test_the_deadline_ends_it(server: Server, at: Layout) -> None:
    server.answers["/wheel"] = stall
    url = f"{server.url}/wheel"
    source = Source(url, len(WHEEL), 20, LOGIN)
    ctx = Session().ctx(0.5)
    with pytest.raises(OpError) as caught, fetch.Download(ctx, source, SHA) as download:
        while download.read():
            pass
    assert caught.value.slug == "deadline"
