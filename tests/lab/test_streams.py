"""Websockets and server-sent events on a real host, while the release behind them changes."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from cartwheel_lab import LabHost
from tests.kit import load_websocket
from tests.kit.certificates import authority, certificate
from tests.kit.host import await_ends, get, journal
from tests.kit.project import SHOP, Project, new_project
from tests.kit.visitors import at_front_page, by_websocket
from tests.kit.waiting import until
from tests.kit.web_servers import SERVERS, Server
from tests.lab.conftest import GetHosts

pytestmark = pytest.mark.timeout(300)

NAME = "shop.example.org"
DRAIN_SECONDS = 6
_PATIENCE_SECONDS = 20.0
RESTARTED = 1012  # RFC 6455: "Service Restart"
# More than nginx and the sockets take before somebody reads.
_MUCH = 64 << 20

SETTINGS = SHOP.replace("drain_seconds = 2", f"drain_seconds = {DRAIN_SECONDS}")
NAMES = f'server_names = ["{NAME}"]\n'
TLS = '[tls]\ncertificate = "shop.pem"\nkey = "shop.key"\nca = "root.pem"\nredirect = false\n'

# It sends the second event, and each one after it, once the client has confirmed the one before.
APP = """
import asyncio

TEXT = "{text}"
MUCH = {much}
state = {{"confirmed": 0, "taken": ""}}


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "http":
        path, query = scope["path"], scope["query_string"].decode()
        if path == "/events":
            await events(receive, send)
        elif path == "/much":
            await much(send)
        else:
            if path == "/confirm":
                state["confirmed"] = int(query)
            if path == "/slow":
                await asyncio.sleep(float(query.partition("=")[2]))
            await answer(send, state["taken"] if path == "/taken" else TEXT)


async def answer(send, text):
    await begin(send, [(b"content-length", str(len(text)).encode())])
    await send({{"type": "http.response.body", "body": text.encode()}})


async def begin(send, headers):
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})


async def echo(receive, send):
    await receive()
    await send({{"type": "websocket.accept"}})
    await send({{"type": "websocket.send", "text": TEXT}})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        text = TEXT + ": " + message["text"]
        await send({{"type": "websocket.send", "text": text}})


async def events(receive, send):
    state["confirmed"] = 0
    await begin(send, [(b"content-type", b"text/event-stream")])
    gone = asyncio.ensure_future(disconnected(receive))
    for number in range(1000):
        while state["confirmed"] < number and not gone.done():
            await asyncio.sleep(0.02)
        if gone.done():
            return
        text = "data: " + TEXT + " " + str(number) + "\\n\\n"
        await send({{"type": "http.response.body", "body": text.encode(), "more_body": True}})


async def disconnected(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def much(send):
    state["taken"] = "no"
    await begin(send, [(b"content-length", str(MUCH).encode())])
    await send({{"type": "http.response.body", "body": bytes(MUCH), "more_body": True}})
    await send({{"type": "http.response.body"}})
    state["taken"] = "yes"
"""


def release(project: Project, server: Server, text: str, kind: str = "uvicorn") -> None:
    project.write("app/app.py", APP.format(text=text, much=_MUCH))
    project.write("app/requirements.txt", "websockets\n" if kind == "uvicorn" else "")
    served = f'[gunicorn]\nkind = "{kind}"\n' + ("threads = 2\n" if kind == "wsgi" else "")
    settings = SETTINGS.replace("[gunicorn]\n", served) + server.web + NAMES
    tls = TLS if (project.folder / "shop.pem").exists() else ""
    project.settings(settings + tls)


@pytest.fixture(scope="module")
def project(
    web_server: Server, web_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    project = new_project(tmp_path_factory.mktemp("shop"))
    release(project, web_server, "one")
    project.fab("setup", "-H", web_host.name)
    project.fab("deploy", "-H", web_host.name)
    yield project


def fab(project: Project, host: LabHost, *words: str) -> dict[str, Any]:
    """The result of a task."""
    done = project.fab(*words, "--json", "-H", host.name)
    result: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    return result


def left_open(result: dict[str, Any]) -> int:
    (host,) = result["hosts"]
    return int(host["connections"])


@contextmanager
def websocket(host: LabHost, context: ssl.SSLContext | None = None) -> Iterator[ClientConnection]:
    scheme, port = ("wss", host.https_port) if context else ("ws", host.http_port)
    with (
        socket.create_connection((host.address, port), _PATIENCE_SECONDS) as line,
        connect(
            f"{scheme}://{NAME}/socket",
            sock=line,
            ssl=context,
            proxy=None,
            ping_interval=None,
            open_timeout=_PATIENCE_SECONDS,
        ) as one,
    ):
        yield one


def said(one: ClientConnection) -> str:
    return str(one.recv(_PATIENCE_SECONDS))


def asks(one: ClientConnection, text: str) -> str:
    one.send(text)
    return said(one)


def closed_with(one: ClientConnection) -> int | None:
    """The code of its close frame, from the server; None where it was cut without one."""
    try:
        one.recv(DRAIN_SECONDS + _PATIENCE_SECONDS)
    except ConnectionClosed as error:
        return error.rcvd.code if error.rcvd else None
    raise AssertionError("it said something")


class Events:
    """Reads events, and confirms each."""

    def __init__(self, host: LabHost) -> None:
        where = (host.address, host.http_port)
        self._line = http.client.HTTPConnection(*where, timeout=_PATIENCE_SECONDS)
        self._line.request("GET", "/events", headers={"Host": NAME, "Accept": "text/event-stream"})
        self.answer = self._line.getresponse()

    def next(self) -> str:
        """The next event; "" at the end."""
        try:
            line = self.answer.readline().decode().strip()
            self.answer.readline()
        except (OSError, http.client.HTTPException):
            return ""
        return line.partition("data: ")[2]

    def close(self) -> None:
        self._line.close()


def confirm(host: LabHost, number: int) -> None:
    get(host, f"/confirm?{number}", NAME)


def test_a_websocket_echoes(project: Project, web_host: LabHost) -> None:
    with websocket(web_host) as one:
        assert said(one) == "one"
        assert asks(one, "hello") == "one: hello"


def test_events_arrive_one_by_one(project: Project, web_host: LabHost) -> None:
    with closing(Events(web_host)) as events:
        assert events.answer.getheader("X-Accel-Buffering") is None
        for number in range(3):
            assert events.next() == f"one {number}"
            confirm(web_host, number + 1)


def test_a_client_that_does_not_read_is_in_nobodys_way(
    project: Project, web_server: Server, web_host: LabHost
) -> None:
    """nginx takes the whole answer, Apache as much as the client does."""
    taken = "yes" if web_server.kind.buffers_answers else "no"
    where = (web_host.address, web_host.http_port)
    with socket.create_connection(where, _PATIENCE_SECONDS) as line:
        line.sendall(f"GET /much HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        until(lambda: get(web_host, "/taken", NAME) == taken, shown="the answer to be on its way")


def test_websockets_move_to_the_new_release(
    project: Project, web_server: Server, web_host: LabHost
) -> None:
    """No ordinary request fails; each websocket gets its code, and the first try to open it again
    finds the new release. The stream goes on for the old release's drain, and nobody waits."""
    with (
        by_websocket(web_host, load_websocket.Plan(host=NAME, clients=3)) as sockets,
        closing(Events(web_host)) as events,
    ):
        assert events.next() == "one 0"
        confirm(web_host, 1)
        assert events.next() == "one 1"
        confirm(web_host, 2)
        release(project, web_server, "two")
        with at_front_page(web_host, slow_seconds=0.3, host=NAME) as load:
            result = fab(project, web_host, "deploy")
        assert events.next() == "one 2", "it goes on after the deploy"
        load.assert_served_by({"one", "two"})
        assert events.next() == "", "the drain has an end"
    codes = sockets.result["codes"]
    assert sum(codes.values()) == 3
    # One may be closed while a message is under way, and then its code can be lost.
    assert set(codes) <= {str(RESTARTED), load_websocket.CUT_ASKING}
    assert len(sockets.result["reopened"]) == 3
    sockets.assert_served_by({"one", "two"})
    assert result["hosts"][0]["outcome"] == "deployed"
    assert left_open(result) >= 4, "a slow request of the visitors may be among them"
    await_ends(web_host, "shop")


@pytest.mark.nightly
def test_what_is_closed_is_told(project: Project, web_host: LabHost) -> None:
    with websocket(web_host) as one, websocket(web_host) as other:
        told = project.fab("restart", "-H", web_host.name).text
        assert [closed_with(each) for each in (one, other) if said(each)] == [RESTARTED] * 2
    line = "2 connections of the old release were still open (websockets, streams or long requests)"
    end = "those still open after deploy.drain_seconds are closed"
    assert f"{web_host.name}: {line}; {end}" in told
    history = journal(web_host, "shop")
    assert [one["connections"] for one in history if one["kind"] == "drain"][-1] == 2
    shown = project.fab("history", "-H", web_host.name).text
    assert "2 connections were still open" in shown
    again = project.fab("restart", "-H", web_host.name).text
    assert "still open" not in again
    assert len(journal(web_host, "shop")) == len(history) + 1


@pytest.mark.nightly
def test_https(project: Project, web_server: Server, web_host: LabHost) -> None:
    """A websocket outlives the web server's reload; over HTTP/2 events arrive one by one too."""
    root = authority()
    issued = certificate(NAME, by=root)
    (project.folder / "shop.pem").write_text(issued.pem)
    (project.folder / "shop.key").write_text(issued.key)
    (project.folder / "root.pem").write_text(root.pem)
    release(project, web_server, "two")
    with websocket(web_host) as one:
        assert said(one) == "two"
        fab(project, web_host, "deploy")
        assert asks(one, "still") == "two: still"
    context = ssl.create_default_context(cadata=root.pem)
    with websocket(web_host, context) as one:
        assert said(one) == "two"
    events = ["curl", "-sSN", "--http2", "-D", "-", "-H", "Accept: text/event-stream"]
    port = web_host.https_port
    where = ["--resolve", f"{NAME}:{port}:{web_host.address}", f"https://{NAME}:{port}/events"]
    events += ["--cacert", str(project.folder / "root.pem")]
    client = subprocess.Popen([*events, *where], stdout=subprocess.PIPE)
    try:
        assert client.stdout is not None
        assert next(client.stdout).startswith(b"HTTP/2 200")
        for number in range(3):
            line = next(line for line in client.stdout if line.startswith(b"data: "))
            assert line == f"data: two {number}\n".encode()
            confirm(web_host, number + 1)
    finally:
        client.kill()
        client.communicate()


@pytest.mark.nightly
def test_gunicorn_s_own_worker(project: Project, web_server: Server, web_host: LabHost) -> None:
    """It passes both, and cuts a websocket when the drain ends, without a close frame."""
    release(project, web_server, "three", "asgi")
    fab(project, web_host, "deploy")
    with websocket(web_host) as one, closing(Events(web_host)) as events:
        assert said(one) == "three"
        assert events.next() == "three 0"
        result = fab(project, web_host, "restart")
        assert left_open(result) == 2
        assert closed_with(one) is None
        assert events.next() == ""
    assert result["hosts"][0]["outcome"] == "deployed"


WSGI = """
import threading

first_has_arrived = threading.Event()


def app(environ, start_response):
    if environ["PATH_INFO"] == "/confirm":
        first_has_arrived.set()
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return events() if environ["PATH_INFO"] == "/events" else [b"ok"]


def events():
    yield b"data: 0\\n\\n"
    first_has_arrived.wait(20)
    yield b"data: 1\\n\\n"
"""


@pytest.mark.nightly
def test_events_of_wsgi(project: Project, web_server: Server, web_host: LabHost) -> None:
    """The stream holds one thread of two."""
    release(project, web_server, "four", "wsgi")
    project.write("app/app.py", WSGI)
    fab(project, web_host, "deploy")
    with closing(Events(web_host)) as events:
        assert events.next() == "0"
        confirm(web_host, 1)
        assert events.next() == "1"


@pytest.mark.nightly
@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("suite", ["bullseye", "trixie"])
def test_other_suites(hosts: GetHosts, tmp_path: Path, suite: str, server: Server) -> None:
    """Other versions of the web server and of `ss`."""
    host = hosts(1, suite, packages=server.packages)[0]
    host.reset()
    project = new_project(tmp_path)
    release(project, server, "one")
    project.fab("setup", "-H", host.name)
    project.fab("deploy", "-H", host.name)
    assert server.warnings(host) == []
    with websocket(host) as one, closing(Events(host)) as events:
        assert said(one) == "one"
        for number in range(2):
            assert events.next() == f"one {number}"
            confirm(host, number + 1)
        assert left_open(fab(project, host, "restart")) == 2
        assert closed_with(one) == RESTARTED
    project.fab("uninstall", "--yes", "-H", host.name)
