"""Who gets in at `fab dashboard`, asked of a real gunicorn; and that it ends with `fab`."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit import monitored
from tests.kit.waiting import until

TOKEN_VARIABLE = "CARTWHEEL_DASHBOARD_TOKEN"
TOKEN = "Zk3Zk3Zk3Zk3"


@dataclass
class Served:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str, **headers: str) -> tuple[http.client.HTTPResponse, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer, answer.read().decode()
        finally:
            connection.close()

    def status(self, path: str, **headers: str) -> int:
        return self.get(path, **headers)[0].status

    @property
    def group(self) -> list[int]:
        """The processes of its group."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _parent, group = path.read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == self.process.pid and state != "Z":
                found.append(int(path.parent.name))
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("here")
    places = monitored.fill(folder, time.time(), days=1, levels=("hours",)).places
    listening = socket.create_server(("127.0.0.1", 0))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "gunicorn", "cartwheel_monitor.web:app"),
                *("--config", "python:cartwheel_monitor.served_here"),
                *("--bind", f"fd://{listening.fileno()}"),
            ],
            env={
                "PYTHONPATH": os.pathsep.join(sys.path),
                "CARTWHEEL_SHARED": str(places.shared),
                TOKEN_VARIABLE: TOKEN,
                "TMPDIR": str(folder),
                "HOME": str(folder),
            },
            cwd=folder,
            stdin=subprocess.PIPE,
            stderr=log,
            pass_fds=(listening.fileno(),),
            start_new_session=True,
        )
    port = listening.getsockname()[1]
    listening.close()
    found = Served(process, port, folder / "log")
    try:
        assert found.status("/healthz") == 200
        yield found
    finally:
        process.kill()
        process.wait(20)


def cookie(served: Served) -> str:
    answer, _ = served.get(f"/?token={TOKEN}")
    return str(answer.getheader("Set-Cookie")).partition(";")[0]


def test_the_address_lets_in_and_is_left_at_once(served: Served) -> None:
    answer, text = served.get(f"/?token={TOKEN}")
    assert answer.status == 302
    assert answer.getheader("Location") == "/"
    assert answer.getheader("Referrer-Policy") == "same-origin"
    assert TOKEN not in text
    kept = str(answer.getheader("Set-Cookie"))
    assert "HttpOnly" in kept and "SameSite=Lax" in kept
    shown, page = served.get("/", Cookie=cookie(served))
    assert shown.status == 200 and "web1" in page
    assert TOKEN not in page


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/", {"Cookie": "dashboard-{port}=guess"}),
        ("/?token=", {}),
        ("/?token=guess", {}),
        ("/?token=guess", {"Cookie": "{cookie}"}),
        ("/apps/shop/", {}),
        ("/language/zh", {}),
        ("/nowhere", {}),
    ],
)
def test_nobody_else_of_this_machine_gets_in(
    served: Served, path: str, headers: dict[str, str]
) -> None:
    sent = {
        name: value.format(port=served.port, cookie=cookie(served))
        for name, value in headers.items()
    }
    answer, text = served.get(path, **sent)
    assert answer.status == 403
    assert "web1" not in text and TOKEN not in text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "127.0.0.1.evil.example:{port}",
        "127.0.0.1:{port}@evil.example",
        "localhost.evil.example",
        "0.0.0.0:{port}",
        "",
    ],
)
def test_a_name_that_leads_here_gets_nothing(served: Served, host: str) -> None:
    """DNS rebinding: the page of a foreign site asks 127.0.0.1 by its own name."""
    named = host.format(port=served.port)
    known = cookie(served).partition("=")[2]
    kept = "; ".join(f"{name}={known}" for name in (f"dashboard-{served.port}", "dashboard"))
    for path in ("/", f"/?token={TOKEN}"):
        assert served.status(path, Host=named, Cookie=kept) in (400, 403)
    assert served.status("/", Host=f"localhost:{served.port}", Cookie=kept) == 200


def test_its_log_has_no_token(served: Served) -> None:
    """gunicorn logs what it cannot read of a request."""
    with socket.create_connection(("127.0.0.1", served.port), 20) as client:
        client.sendall(f"GET /?token={TOKEN}\r\n\r\n".encode())
        while client.recv(1 << 16):
            pass
    served.get(f"/?token={TOKEN}")
    until(lambda: "token=***" in served.log.read_text(), shown=served.log.read_text)
    assert TOKEN not in served.log.read_text()


def test_it_leaves_nothing_outside_its_folder(served: Served) -> None:
    home = [path.name for path in served.log.parent.iterdir()]
    assert ".gunicorn" not in home
    assert len(served.group) == 2, "gunicorn and one worker"


def test_it_ends_when_fab_is_gone(served: Served) -> None:
    """The last test of this module: it ends the server, though its worker waits for a request."""
    with socket.create_connection(("127.0.0.1", served.port), 20) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        assert served.process.stdin is not None
        served.process.stdin.close()
        served.process.wait(8)
    until(lambda: not served.group, 2)
