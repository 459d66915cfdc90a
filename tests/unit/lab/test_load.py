"""The load generator against a site on loopback that misbehaves on purpose."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import pytest

from cartwheel.errors import LabError
from cartwheel_lab import LabHost, load
from cartwheel_lab.visitors import visiting

SECONDS = 0.4
PIECES = 3
UPLOAD_BYTES = 4000
QUICK: dict[str, Any] = {
    "seconds": SECONDS,
    "pause_seconds": 0.01,
    "late_seconds": 0.2,
    "slow_seconds": 0.05,
    "upload_bytes": UPLOAD_BYTES,
    "upload_seconds": 0.05,
    "stream_pieces": PIECES,
    "stream_seconds": 0.05,
    "releases": ["one"],
}
NOBODY = {"keep_alive": 0, "close": 0, "slow": 0, "upload": 0, "stream": 0}
KINDS = ["keep_alive", "close", "slow", "upload", "stream"]

# What the site does with one request on a connection; True keeps the connection.
Behaviour = Callable[[socket.socket, bytes, bytes], bool]


@contextmanager
def site(behave: Behaviour) -> Iterator[int]:
    """A server on loopback; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        ended = threading.Event()
        talks: list[threading.Thread] = []

        def accept() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    talk = listening.accept()[0]
                    talk.settimeout(5)
                    talks.append(threading.Thread(target=converse, args=(talk, behave)))
                    talks[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            ended.set()
            accepting.join()
            for talk in talks:
                talk.join()


def converse(talk: socket.socket, behave: Behaviour) -> None:
    with talk, suppress(OSError):
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                data = talk.recv(65536)
                if not data:
                    return
                head += data
            head, _, body = head.partition(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            while length and len(body) < int(length[1]):
                body += talk.recv(65536)
            if not behave(talk, head, body):
                return


def answer(talk: socket.socket, body: str, status: str = "200 OK") -> bool:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
    talk.sendall((head + body).encode())
    return True


def chunk(talk: socket.socket, text: str) -> None:
    talk.sendall(f"{len(text):x}\r\n{text}\r\n".encode())


def streamed(talk: socket.socket, pieces: list[str], *, whole: bool = True) -> bool:
    talk.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in pieces:
        time.sleep(0.05 / PIECES)
        chunk(talk, piece)
    if whole:
        talk.sendall(b"0\r\n\r\n")
    return whole


def named(release: str) -> str:
    return json.dumps({"version": release, "pid": 1})


def lines(*releases: str) -> list[str]:
    return [named(release) + "\n" for release in releases]


def well(talk: socket.socket, head: bytes, body: bytes) -> bool:
    """A site without fault."""
    if head.startswith(b"POST"):
        digest = hashlib.sha256(body).hexdigest()
        return answer(talk, json.dumps({"version": "one", "sha256": digest}))
    if head.startswith(b"GET /stream"):
        return streamed(talk, [*lines("one", "one", "one"), "end\n"])
    if head.startswith(b"GET /slow"):
        time.sleep(0.05)
    return answer(talk, named("one"))


def reset(talk: socket.socket, _head: bytes, _body: bytes) -> bool:
    talk.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def visit(behave: Behaviour, **plan: Any) -> dict[str, Any]:
    """What one round of visitors saw."""
    with site(behave) as port:
        wanted = load.Plan(**{"port": port, **QUICK, **plan})
        return load.run(wanted, threading.Event(), lambda: None).summary()


def alone(kind: str) -> dict[str, int]:
    return {**NOBODY, kind: 1}


def test_a_site_without_fault_has_none() -> None:
    seen = visit(well)
    assert seen["failures"] == []
    assert (seen["failed"], seen["late"], seen["idle_closed"]) == (0, 0, [])
    assert {kind.replace("_", "-") for kind in KINDS} == set(seen["sent"]) == set(seen["stalls"])
    assert min(seen["sent"].values()) > 1
    assert seen["releases"] == {"one": sum(seen["sent"].values())}


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_is_counted(kind: str) -> None:
    seen = visit(reset, **alone(kind))
    assert seen["failed"] == sum(seen["sent"].values()) > 0
    assert re.search("Reset|Pipe", seen["failures"][0]["problem"])
    assert seen["failures"][0]["kind"] == kind.replace("_", "-")


@pytest.mark.parametrize("kind", KINDS)
def test_the_wrong_release_is_counted(kind: str) -> None:
    seen = visit(well, releases=["two", "three"], **alone(kind))
    assert seen["failed"] == sum(seen["sent"].values()) > 0
    assert seen["failures"][0]["problem"] == "release one must not answer"


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_names_no_release_is_counted(kind: str) -> None:
    def nameless(talk: socket.socket, head: bytes, body: bytes) -> bool:
        if head.startswith(b"POST"):
            return answer(talk, hashlib.sha256(body).hexdigest())
        if head.startswith(b"GET /stream"):
            return streamed(talk, ["a\n", "b\n", "c\n", "end\n"])
        return answer(talk, "hello")

    assert visit(nameless, **alone(kind))["failed"] > 0
    assert visit(nameless, **alone(kind), release_pattern="")["failed"] == 0


@pytest.mark.parametrize("kind", ["keep_alive", "close", "slow", "upload"])
def test_an_error_of_the_server_is_counted(kind: str) -> None:
    seen = visit(lambda talk, _h, _b: answer(talk, named("one"), "502 Bad"), **alone(kind))
    assert seen["failed"] == sum(seen["sent"].values()) > 0
    assert seen["failures"][0]["problem"] == "status 502"


def test_a_torn_body_is_counted() -> None:
    def torn(talk: socket.socket, _head: bytes, _body: bytes) -> bool:
        talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + named("one").encode())
        return False

    seen = visit(torn, **alone("keep_alive"))
    assert seen["failed"] > 0
    assert "torn body" in seen["failures"][0]["problem"]


@pytest.mark.parametrize(
    ("pieces", "whole", "problem"),
    [
        (["one", "one", "one"], False, "torn body"),  # the connection ends in the middle
        (["one", "one"], True, "torn stream: 3 lines"),
        (["one", "one", "one", "one"], True, "torn stream: 5 lines"),
        (["one", "two", "one"], True, "releases ['one', 'two']"),
        (["one", "", "one"], True, "releases ['', 'one']"),
    ],
)
def test_a_planted_stream_is_counted(pieces: list[str], whole: bool, problem: str) -> None:
    def planted(talk: socket.socket, _head: bytes, _body: bytes) -> bool:
        return streamed(talk, [*lines(*pieces), "end\n"], whole=whole)

    seen = visit(planted, **alone("stream"))
    assert seen["failed"] == sum(seen["sent"].values()) > 0
    assert problem in seen["failures"][0]["problem"]


def test_a_stream_that_a_proxy_ended_is_counted() -> None:
    """Whole for HTTP, not for us: the application's connection was torn."""
    seen = visit(lambda talk, _h, _b: streamed(talk, lines("one", "one")), **alone("stream"))
    assert seen["failed"] == sum(seen["sent"].values()) > 0
    assert "torn stream" in seen["failures"][0]["problem"]


def test_a_torn_upload_is_counted() -> None:
    def forgetful(talk: socket.socket, _head: bytes, body: bytes) -> bool:
        digest = hashlib.sha256(body[:-1]).hexdigest()
        return answer(talk, json.dumps({"version": "one", "sha256": digest}))

    seen = visit(forgetful, **alone("upload"))
    assert seen["failed"] == sum(seen["sent"].values()) > 0
    assert "torn upload" in seen["failures"][0]["problem"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_late_answer_is_counted(kind: str) -> None:
    """Late beyond its own work, which is no stall."""

    def late(talk: socket.socket, head: bytes, body: bytes) -> bool:
        time.sleep(0.3)
        return well(talk, head, body)

    seen = visit(late, **alone(kind))
    assert seen["failed"] == 0
    assert seen["late"] == sum(seen["sent"].values()) > 0
    assert 0.3 <= seen["longest_stall_seconds"] == seen["stalls"][kind.replace("_", "-")] < 1
    assert seen["latest"][0]["kind"] == kind.replace("_", "-")


def test_a_kept_connection_that_the_site_closes_is_no_failure() -> None:
    """HTTP allows it; it is told apart, because a switch must not do it either."""
    seen = visit(lambda *request: well(*request) and False, **alone("keep_alive"))
    assert seen["failed"] == 0
    assert seen["idle_closed"]


# --- as a program, in another process


class Here:
    """A host whose network is this one. With `instead`, another program than the load's."""

    name = "here"

    def __init__(self, instead: str = "") -> None:
        self._instead = instead

    def popen_in_netns(self, argv: list[str], **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [argv[0], "-c", self._instead] if self._instead else argv, **options
        )


def test_visitors_are_heard_when_they_go() -> None:
    with site(well) as port:
        plan = load.Plan(**{"port": port, **QUICK, "seconds": 30})
        with visiting(cast(LabHost, Here()), plan) as visits:
            time.sleep(SECONDS)
            assert visits.result == {}
    assert visits.result["failures"] == []
    assert set(visits.result["sent"]) == {kind.replace("_", "-") for kind in KINDS}


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(3)",
        "import sys; print('ready', flush=True); sys.stdin.read(); sys.exit(3)",
    ],
)
def test_visitors_that_die_are_noticed(program: str) -> None:
    with (
        pytest.raises(LabError, match="the visitors"),
        visiting(cast(LabHost, Here(program)), load.Plan()),
    ):
        pass
