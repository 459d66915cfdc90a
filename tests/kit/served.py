"""The monitor's page behind gunicorn on loopback, as `fab dashboard` serves it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cartwheel_monitor.page.door_token import PARAMETER
from cartwheel_monitor.places import Places
from tests.kit.ports import free_port
from tests.kit.waiting import until

TOKEN = "t0ken"
# As in cartwheel_monitor/web.py, which is a page as soon as it is imported.
_TOKEN, _SHARED, _RUNS = (
    "CARTWHEEL_DASHBOARD_TOKEN", "CARTWHEEL_SHARED", "CARTWHEEL_DASHBOARD_RUNS"
)  # fmt: skip
_ROOT = Path(__file__).parents[2]
_SECONDS = 20.0


@dataclass(frozen=True)
class Served:
    """A page that runs."""

    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def way_in(self) -> str:
        """The address that lets a browser in."""
        return f"{self.address}/?{PARAMETER}={TOKEN}"

    def ask(self, path: str, **headers: str) -> tuple[int, str]:
        """The status and the body that somebody gets who has been let in."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        try:
            known = {"Cookie": f"dashboard-{self.port}={TOKEN}", **headers}
            connection.request("GET", path, headers=known)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def is_there(self) -> bool:
        try:
            return self.ask("/healthz")[0] == http.client.OK
        except OSError:
            return False


@contextmanager
def served(
    places: Places, runs: Path | None = None, *, with_login: bool = False
) -> Iterator[Served]:
    """Until it answers, and to its end."""
    page = Served(free_port())
    given = {_SHARED: str(places.shared)}
    if not with_login:
        given[_TOKEN] = TOKEN
    if runs is not None:
        given[_RUNS] = str(runs)
    given["PYTHONPATH"] = f"{_ROOT}{os.pathsep}{_ROOT / 'monitor'}"
    words = [*("-m", "gunicorn", "cartwheel_monitor.web:app", "--workers", "1", "--threads", "8")]
    words += ["--bind", f"127.0.0.1:{page.port}", "--log-level", "warning", "--no-control-socket"]
    process = subprocess.Popen(
        [sys.executable, *words], env={**os.environ, **given}, start_new_session=True
    )
    try:
        until(page.is_there, _SECONDS, shown="the page")
        yield page
    finally:
        process.terminate()
        process.wait(_SECONDS)
