"""The host side itself, on two pipes: no ssh in between."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.wire import framing
from cartwheel.host.wire.messages import Header
from cartwheel.ssh import bundle as bundles
from cartwheel.ssh import startup
from cartwheel.ssh.bundle import ALARM_SECONDS, Bundle, host_bundle, make_bundle

ABOUT = {"app": "shop", "base": "/srv", "who": "ann@desk", "message": ""}
TEST_OPS = Path(__file__).parents[2] / "ssh/ops.py"


class Host:
    """A host side as a child of ours: `send` frames, `expect` one."""

    def __init__(self, bundle: Bundle, lease_seconds: float = 15.0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", bundle.loader],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self._decoder = framing.Decoder()
        self._frames: list[framing.Frame] = []
        self._early = b""
        self.stdin.write(bundle.payload)
        self.send({"t": "config", "lease_seconds": lease_seconds, "about": ABOUT})

    def send(self, header: Header, body: bytes = b"") -> None:
        self.stdin.write(framing.pack(header, body))
        self.stdin.flush()

    def request(self, request_id: int, op: str, **args: Any) -> None:
        self.send({"t": "request", "id": request_id, "op": op, "args": args})

    def expect(self, *kinds: str) -> framing.Frame:
        """The next frame of one of these kinds; others are passed over."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.header["t"] in kinds:
                    return frame
            data = os.read(self.stdout.fileno(), 65536)
            assert data, "the host side ended"
            if not self._early.endswith(b"!"):
                self._early += data
                hello = startup.find_hello(self._early)
                data, self._early = (
                    (self._early[hello.end :], b"!") if hello else (b"", self._early)
                )
            self._frames += self._decoder.feed(data)

    def end(self) -> int:
        self.stdin.close()
        return self.process.wait(10)


StartHost = Callable[..., Host]


@pytest.fixture
def start() -> Iterator[StartHost]:
    started: list[Host] = []
    bundle = make_bundle({"cartwheel.host.session.operations": TEST_OPS.read_text()})

    def begin(**named: Any) -> Host:
        host = Host(bundle, **named)
        started.append(host)
        return host

    yield begin
    for host in started:
        host.process.kill()
        host.process.wait()
        for stream in (host.process.stdin, host.process.stdout, host.process.stderr):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()


def test_the_bundle_is_the_same_bytes_for_the_same_sources() -> None:
    assert make_bundle({}) == make_bundle({}) == host_bundle()
    assert make_bundle({"cartwheel.host.more": "x = 1"}) != host_bundle()


def test_the_bundle_is_made_once_for_all_sessions_that_begin_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes as long as half of what else a host costs us."""
    made: list[Bundle] = []

    def make() -> Bundle:
        time.sleep(0.05)
        made.append(make_bundle({}))
        return made[-1]

    monkeypatch.setattr(bundles, "_made_once", functools.cache(make))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: host_bundle(), range(8)))
    assert len(made) == 1
    assert all(one is made[0] for one in found)


def test_an_operation_and_the_end(start: StartHost) -> None:
    host = start()
    host.request(1, "echo", a=1)
    assert host.expect("start").header["id"] == 1
    assert host.expect("result").header == {"t": "result", "id": 1, "value": {"a": 1}}
    assert host.end() == 0


def test_it_says_that_it_lives_also_while_it_works(start: StartHost) -> None:
    host = start()
    host.request(1, "sleep", seconds=60)
    host.expect("event")
    for _ in range(2):
        host.expect("alive")


def test_a_full_channel_delays_no_operation_beyond_the_lease(
    start: StartHost, tmp_path: Path
) -> None:
    """Nobody reads: an operation that talks a lot still comes to its end."""
    host = start(lease_seconds=1)
    path = tmp_path / "done"
    host.request(1, "talk", times=40, size=1 << 20)
    host.request(2, "at_end", path=str(path), text="never: contact is lost before")
    assert host.process.wait(30) == 0
    assert not path.exists()


def test_the_lease_ends(start: StartHost, tmp_path: Path) -> None:
    host = start(lease_seconds=1)
    path = tmp_path / "ends"
    host.request(1, "at_end", path=str(path), text="cleaned")
    host.request(2, "sleep", seconds=60)
    begun = time.monotonic()
    error = host.expect("error").header
    assert (error["slug"], error["lost"]) == ("ssh-lost", True)
    assert host.process.wait(10) == 0
    assert 0.8 < time.monotonic() - begun < 5
    assert path.read_text() == "cleaned\n"


def test_once_lost_is_lost_for_good(start: StartHost) -> None:
    host = start(lease_seconds=1)
    host.request(1, "stubborn", seconds=2.5, path="/dev/null")
    time.sleep(1.8)  # longer than the lease; then signs of life again
    for _ in range(5):
        host.send({"t": "beat"})
    host.request(2, "echo")
    assert host.process.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_put_things_in_order(start: StartHost, tmp_path: Path, number: int) -> None:
    host = start()
    path = tmp_path / "ends"
    host.request(1, "at_end", path=str(path), text="cleaned")
    host.request(2, "sleep", seconds=60)
    host.expect("event")
    os.kill(host.process.pid, number)
    assert host.process.wait(10) == 0
    assert path.read_text() == "cleaned\n"


def test_what_is_no_frame_ends_it(start: StartHost) -> None:
    host = start()
    host.request(1, "echo")
    host.expect("result")
    host.stdin.write(b"GET / HTTP/1.1\r\n\r\n")
    host.stdin.flush()
    assert host.process.wait(10) == 0
    assert host.process.stderr
    assert b"impossible length" in host.process.stderr.read()


def test_a_full_disk_spoils_one_upload_only(start: StartHost) -> None:
    host = start()
    host.send({"t": "request", "id": 1, "op": "limit", "args": {}})
    host.expect("result")
    host.send({"t": "request", "id": 2, "op": "digest", "args": {}, "blob": True})
    for _ in range(4):
        host.send({"t": "blob", "id": 2}, bytes(1 << 20))
    host.send({"t": "blob-end", "id": 2})
    error = host.expect("error").header
    assert error["slug"] == "disk-full"
    host.request(3, "echo", still="there")
    assert host.expect("result").header["value"] == {"still": "there"}


def test_a_truncated_bundle_is_no_success() -> None:
    bundle = host_bundle()
    done = subprocess.run(
        [sys.executable, "-I", "-c", bundle.loader],
        input=bundle.payload[:-10],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0


def test_a_loader_whose_sources_do_not_come_ends_by_itself() -> None:
    """The line is dead before the lease: nothing may wait on the host for ever."""
    loader = host_bundle().loader
    assert f"alarm({ALARM_SECONDS})" in loader
    quick = loader.replace(f"alarm({ALARM_SECONDS})", "alarm(1)")
    with subprocess.Popen(
        [sys.executable, "-I", "-c", quick],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(host_bundle().payload[:100])
        process.stdin.flush()
        assert process.wait(20) == -signal.SIGALRM
