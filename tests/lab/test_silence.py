"""P11: nothing is silent for more than ten seconds, however long it takes."""

from __future__ import annotations

import os
import pty
import secrets
import select
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import get
from tests.kit.project import Project, new_project

pytestmark = pytest.mark.timeout(240)

SILENT_SECONDS = 10.0
END_SECONDS = 120.0

APP = """
import time
BALLAST = "{ballast}"


def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        open("asked", "w").close()
        time.sleep({slow_seconds})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{text}"]
"""

SETTINGS = """
[app]
name = "shop"
source = "app"
[tests]
skip = true
[gunicorn]
workers = 1
threads = 4
[deploy]
drain_seconds = 25
probation_seconds = 0.3
"""


@dataclass(frozen=True)
class Told:
    """What a `fab` said, and how long it was silent at most."""

    text: str
    seconds: float
    silent_seconds: float


def told(project: Project, *words: str, terminal: bool) -> Told:
    """Run `fab WORDS` to its end, on a terminal or in a pipe; every byte is waited for."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        project.command(*words),
        cwd=project.folder,
        env={**project.environment(), "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    began = heard = time.monotonic()
    text, longest = b"", 0.0
    try:
        while time.monotonic() - began < END_SECONDS:
            ready = select.select([ours], [], [], 1.0)[0]
            longest = max(longest, time.monotonic() - heard)
            if not ready:
                continue
            try:
                data = os.read(ours, 65536)
            except OSError:  # EIO: a terminal whose other side is closed
                break
            if not data:
                break
            text, heard = text + data, time.monotonic()
        assert process.wait(10) == 0, text.decode()
        return Told(text.decode(), time.monotonic() - began, longest)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def write_app(
    project: Project, text: str, *, ballast_bytes: int = 0, slow_seconds: float = 0
) -> None:
    source = APP.replace("{ballast}", secrets.token_hex(ballast_bytes)).replace("{text}", text)
    project.write("app/app.py", source.replace("{slow_seconds}", str(slow_seconds)))


@pytest.fixture(scope="module")
def served(
    module_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LabHost, Project]]:
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.write("app/requirements.txt", "")
    project.settings(SETTINGS)
    write_app(project, "one", slow_seconds=13)
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    yield module_host, project


# Through a pipe: test_output.py, TestSilence.
@pytest.mark.nightly
@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_a_long_stop(served: tuple[LabHost, Project], where: str) -> None:
    """A request that takes long is waited for; it is answered."""
    host, project = served
    text = get(host)
    answers: list[str] = []
    slow = threading.Thread(target=lambda: answers.append(get(host, "/slow", timeout=60)))
    slow.start()
    host.sh("cd /srv/shop/shared; timeout 20 sh -c 'until rm asked; do sleep 0.1; done' 2>&1")
    said = told(project, "stop", "-H", host.name, terminal=where == "terminal")
    slow.join(30)
    assert answers == [text]
    project.fab("start", "-H", host.name)
    assert said.seconds > SILENT_SECONDS, "it was long enough to be silent"
    assert said.silent_seconds < SILENT_SECONDS, said


@pytest.mark.nightly
def test_an_upload_over_a_slow_line(served: tuple[LabHost, Project]) -> None:
    host, project = served
    write_app(project, "fat", ballast_bytes=1_000_000)
    host.network(bytes_per_second=60_000)
    try:
        said = told(project, "deploy", "-H", host.name, terminal=False)
    finally:
        host.network(bytes_per_second=0)
    assert get(host) == "fat"
    assert said.seconds > SILENT_SECONDS, "it was long enough to be silent"
    assert said.silent_seconds < SILENT_SECONDS, said
    assert "MB sent" in said.text or "still running" in said.text
