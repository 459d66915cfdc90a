"""`fab dashboard`: the monitor's page, on the operator's machine and for as long as the task runs.

Two programs of the monitor run here: its watcher, which asks us for each look at a host, and
gunicorn with its page. Each ends with its input, and so with us, however we end.
"""

from __future__ import annotations

import errno
import fcntl
import html
import http.client
import importlib.util
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel import places, process_env, programs, writing
from cartwheel.commands.looking import Answering
from cartwheel.commands.scene import Scene, opener, targets
from cartwheel.commands.tls import roots_of
from cartwheel.errors import CartwheelError, UsageError
from cartwheel.events import silent
from cartwheel.host.wire.instance import WEB
from cartwheel.project.monitor_app import sources
from cartwheel.project.watched import WatchedHost, watch_list
from cartwheel.settings.hosts import BALANCER_ROLE

if TYPE_CHECKING:
    from cartwheel.settings.hosts import Host
    from cartwheel.ssh.target import Target

PORT = 8500
"""Taken if it is free and none was asked for: the same address is opened again and again."""
NEEDS = ("apprise", "flask", "flask_wtf", "gunicorn", "prometheus_client")
_LOOPBACK = "127.0.0.1"
_MOST_PORT = 65535
_TOKEN_BYTES = 32
_BACKLOG = 128
_READY_SECONDS = 30.0
_POLL_SECONDS = 0.1
_STOP_SECONDS = 3.0  # for the watcher to write what it knows
# After a `fab` that was killed: longer than its watcher needs to notice and to end.
_PREVIOUS_SECONDS = 12.0
_OPEN_SECONDS = 15.0


@dataclass(frozen=True)
class Part:
    """A program of the dashboard."""

    name: str
    process: programs.Begun

    def check(self, log: Path) -> None:
        """Raises CartwheelError("dashboard") if it has ended."""
        status = self.process.poll()
        if status is not None:
            how = f"was killed by signal {-status}" if status < 0 else f"ended with {status}"
            raise CartwheelError("dashboard", f"{self.name} {how}", hint=f"Its log: {log}")


@dataclass(frozen=True)
class Dashboard:
    """A dashboard that runs. `url`: with the token, without which nobody gets in."""

    url: str
    folder: Path
    parts: tuple[Part, ...]

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def wait(self) -> None:
        """Until Ctrl-C. Raises CartwheelError("dashboard") if a part of it ends by itself."""
        while True:
            self.check()
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        for part in self.parts:
            part.check(self.log)

    def open_browser(self) -> None:
        """Open it in the person's browser. What other users see of a running browser is a file that
        they cannot read, not the address with its token."""
        page = self.folder / "open.html"
        refresh = html.escape(f"0; url={self.url}")
        text = f'<!doctype html><meta http-equiv="refresh" content="{refresh}">\n'
        writing.write(page, text.encode())
        with suppress(programs.LateError, OSError):  # its address is printed anyway
            programs.run(
                [sys.executable, "-P", "-m", "webbrowser", page.as_uri()],
                env=process_env.of_user(),
                cwd=self.folder,
                deadline_seconds=_OPEN_SECONDS,
            )


def refuse_missing() -> None:
    """Raises UsageError("dashboard-missing") where its packages are not installed."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        text = f"a dashboard needs {', '.join(missing)}, which this Python does not have"
        raise UsageError("dashboard-missing", text)


@contextmanager
def dashboard(scene: Scene, port: int | None) -> Iterator[Dashboard]:
    """The page of the scene's hosts; nothing of it outlives the block but what it has seen. Raises
    UsageError, and CartwheelError("dashboard") if it does not start."""
    refuse_missing()
    watched = watched_hosts(scene)
    open_session = opener(replace(scene, emit=silent), changing=False)
    folder = places.state_dir() / "dashboard" / scene.settings.slug
    with ExitStack() as leaving:
        try:
            _make(folder)
            leaving.enter_context(_alone(folder, scene.settings.slug))
            _list(folder, scene, watched)
            log = leaving.enter_context((folder / "log").open("wb"))
        except OSError as error:
            text = f"{error.filename or folder} cannot be written: {error.strerror}"
            raise CartwheelError("dashboard", text) from error
        leaving.callback((folder / "open.html").unlink, missing_ok=True)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        listening = leaving.enter_context(_listening(port))
        address = f"{_LOOPBACK}:{listening.getsockname()[1]}"
        env = _environment(folder)
        watcher = programs.begin(
            [sys.executable, "-P", "-m", "cartwheel_monitor", "watch", "--by-pipe"],
            env=env,
            cwd=folder,
            errors=log.fileno(),
        )
        leaving.callback(programs.stop, watcher, _STOP_SECONDS)
        leaving.enter_context(Answering(watcher, scene.hosts, open_session))
        page = programs.begin(
            [
                *(sys.executable, "-P", "-m", "gunicorn", "cartwheel_monitor.web:app"),
                *("--config", "python:cartwheel_monitor.served_here"),
                *("--bind", f"fd://{listening.fileno()}"),
            ],
            env={**env, "CARTWHEEL_DASHBOARD_TOKEN": token},
            cwd=folder,
            errors=log.fileno(),
            fds=(listening.fileno(),),
        )
        leaving.callback(programs.end, page)
        listening.close()  # only gunicorn has it now
        parts = (Part("the watcher", watcher), Part("the page's server", page))
        found = Dashboard(f"http://{address}/?token={token}", folder, parts)
        _await_page(found, address)
        yield found


def watched_hosts(scene: Scene) -> list[WatchedHost]:
    """The scene's hosts as the dashboard asks them: at the addresses that SSH has. Raises
    UsageError."""
    where = targets(scene)
    return [_watched(scene, host, where[host.name]) for host in scene.chosen]


def _watched(scene: Scene, host: Host, target: Target) -> WatchedHost:
    is_behind = target.gateway is not None or target.proxy_command is not None
    at = replace(host, monitor_address=None)
    return WatchedHost(at, target.host, target.port, (), _has_web(scene, host), is_behind)


def _has_web(scene: Scene, host: Host) -> bool:
    """As a deploy sees it: also a host that -H names although it has no role of the app."""
    if BALANCER_ROLE in host.roles and not scene.runs_app(host):
        return False
    return WEB in scene.assigned(host.name).counts


def _make(folder: Path) -> None:
    """The folder, with what its owner alone may read."""
    for each in (folder, folder / "watch.d", folder / "shared", folder / "tmp"):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
        each.chmod(0o700)


@contextmanager
def _alone(folder: Path, app: str) -> Iterator[None]:
    """The only dashboard of this app. Raises CartwheelError("dashboard")."""
    with (folder / "lock").open("wb") as lock:
        if not _is_taken(lock.fileno()):
            text = f"another `fab dashboard` of {app} runs on this machine"
            raise CartwheelError("dashboard", text, hint="Use its page, or end it first.")
        _await_previous(folder, app)
        yield


def _await_previous(folder: Path, app: str) -> None:
    """Of a `fab` that was killed the watcher may still be there for a moment."""
    until = time.monotonic() + _PREVIOUS_SECONDS
    with (folder / "shared" / "watcher.lock").open("ab") as lock:
        while not _is_taken(lock.fileno()):
            if time.monotonic() > until:
                text = f"the watcher of an earlier dashboard of {app} still runs"
                raise CartwheelError("dashboard", text)
            time.sleep(_POLL_SECONDS)


def _is_taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _list(folder: Path, scene: Scene, watched: list[WatchedHost]) -> None:
    roots = roots_of(scene.settings, scene.project)
    listed = watch_list(scene.settings, watched, {}, None, roots=roots)
    path = folder / "watch.d" / f"{scene.settings.slug}.json"
    writing.write(path, listed.reveal().encode())


def _listening(port: int | None) -> socket.socket:
    """The page's socket. Raises CartwheelError("dashboard") if that port cannot be had."""
    if port is not None and port > _MOST_PORT:
        raise UsageError("usage", f"--port takes a number from 1 to {_MOST_PORT}, not {port}")
    wanted = (PORT, 0) if port is None else (port,)
    for each in wanted:
        try:
            return socket.create_server((_LOOPBACK, each), backlog=_BACKLOG)
        except OSError as error:
            if each == wanted[-1]:
                is_used = error.errno == errno.EADDRINUSE
                why = "is in use" if is_used else f"cannot be had: {error.strerror}"
                raise CartwheelError(
                    "dashboard",
                    f"port {each} of {_LOOPBACK} {why}",
                    hint="Choose another one with --port; without it, any free one is taken.",
                ) from error
    raise AssertionError("the last one is returned or refused")


def _environment(folder: Path) -> dict[str, str]:
    """The variables of both programs, without those that configure the user's own gunicorn."""
    found = process_env.of_tools(
        {
            "PYTHONPATH": str(sources(places.cache_dir())),
            "CARTWHEEL_SHARED": str(folder / "shared"),
            "CARTWHEEL_DASHBOARD_RUNS": str(places.runs_dir()),
            "TMPDIR": str(folder / "tmp"),
        }
    )
    return {name: value for name, value in found.items() if name != "GUNICORN_CMD_ARGS"}


def _await_page(found: Dashboard, address: str) -> None:
    """Raises CartwheelError("dashboard") if the page does not answer in time."""
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until:
        found.check()
        connection = http.client.HTTPConnection(address, timeout=1)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(_POLL_SECONDS)
    raise CartwheelError(
        "dashboard",
        f"its page did not answer within {_READY_SECONDS:.0f} s",
        hint=f"Its log: {found.log}",
    )
