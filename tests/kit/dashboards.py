"""A running `fab dashboard`, and a browser's manners at its page."""

from __future__ import annotations

import http.client
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.kit.project import Project

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]+)")
_SECONDS = 20.0


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    port: int
    token: str

    def ask(self, path: str, **headers: str) -> http.client.HTTPResponse:
        """The head of an answer, as it comes."""
        return self._asked(path, headers)[0]

    def page(self) -> str:
        """The first view, for a browser that was let in."""
        kept = self.ask(f"/?token={self.token}").getheader("Set-Cookie") or ""
        return self._asked("/", {"Cookie": kept.partition(";")[0]})[1]

    def row(self, host: str) -> str:
        """The host's row there; "" without one."""
        rows = re.findall(r"<tr>.*?</tr>", self.page(), re.DOTALL)
        return next((one for one in rows if f">{host}</th>" in one.replace("</b>", ">")), "")

    def _asked(self, path: str, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer, answer.read().decode()
        finally:
            connection.close()


@contextmanager
def dashboard(project: Project, *words: str) -> Iterator[Running]:
    """`fab dashboard WORDS`, once it has printed its address; it is killed at the end."""
    process = subprocess.Popen(
        project.command("dashboard", *words),
        cwd=project.folder,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = _ADDRESS.search(line)
        assert found, line + process.stdout.read()
        yield Running(process, int(found[1]), found[2])
    finally:
        process.kill()
        process.wait(_SECONDS)
