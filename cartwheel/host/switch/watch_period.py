"""The watch period of a release in real traffic, in addition to the probe: failed requests, and
workers that die.

A deploy or a restart over a limit is rolled back. A rollback only reports it: its operator found
the live release bad, and must not be kept on it because the other one is not perfect. It must
answer and stay up all the same.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Optional, Set, Union

from cartwheel.host.layout import Layout
from cartwheel.host.state import journal
from cartwheel.host.system import systemd
from cartwheel.host.web import traffic
from cartwheel.host.web.chosen import web_server
from cartwheel.host.web.traffic import Share
from cartwheel.host.wire.instance import Instance
from cartwheel.host.wire.switching import Limits

# How far back requests count for the share before the switch.
_BEFORE_SECONDS = 300.0
_SWITCHED = ("confirmed", "reverted")
_REPLACES = re.compile(r"^[ \t]*max_requests[ \t]*=(?![ \t]*0[ \t]*(#|$))", re.MULTILINE)


class Watch:
    """Made before the switch, begun right after it; then `problem` is called repeatedly."""

    def __init__(self, at: Layout, one: Instance, kind: str, limits: Limits) -> None:
        self._web = web_server(at)
        path, _errors = self._web.logs(at.app)
        self._limits = limits
        self._decides = kind != "rollback"
        self._upstream = self._web.live_upstream(at)
        self._unit = at.unit(one)
        self._log = traffic.Log(path)
        since = _since(at, time.time())
        self._before = traffic.count(self._web, traffic.tail(path), self._upstream, since)
        self._now = Share()
        self._began = 0.0
        self._main_pid: Optional[int] = None
        if not replaces_workers(at.release(one.release)):
            self._main_pid = systemd.state(self._unit).main_pid
        self._workers = Deaths()

    def begin(self) -> None:
        """The switch is done: requests passed on from now on go to the new release."""
        self._began = time.time()
        self._look()

    def problem(self) -> str:
        """Why the host must roll back; "" if it need not."""
        self._look()
        return self._complaint() if self._decides else ""

    def _look(self) -> None:
        self._now += traffic.count(self._web, self._log.lines(), self._upstream, self._began)
        if self._main_pid:
            self._workers.look(set(systemd.worker_pids(self._main_pid)))

    def _complaint(self) -> str:
        return traffic.complaint(
            self._now,
            self._before,
            max_error_percent=self._limits.max_error_percent,
            error_min_requests=self._limits.error_min_requests,
        ) or self._workers.complaint(self._limits.max_worker_restarts)

    def told(self) -> str:
        """What was observed, as text; "" if nothing."""
        if not self._now.requests:
            return ""
        return f"{self._now.requests} requests, {self._now.failed} failed"

    def warning(self) -> str:
        """What would have rolled back a deploy; "" if nothing."""
        return "" if self._decides else self._complaint()

    def close(self) -> None:
        self._log.close()


class NoTraffic:
    """A host without web: nobody sends it requests."""

    def begin(self) -> None:
        pass

    def problem(self) -> str:
        return ""

    def told(self) -> str:
        return ""

    def warning(self) -> str:
        return ""

    def close(self) -> None:
        pass


Real = Union[Watch, NoTraffic]


def _since(at: Layout, now: float) -> float:
    """Since when only the live release has answered: after the journal's last switch. So the
    failures of a release that was rolled back do not count for the next try."""
    switches = [one.at or 0.0 for one in journal.read(at.journal) if one.result in _SWITCHED]
    return max([now - _BEFORE_SECONDS, *switches])


def replaces_workers(release: Path) -> bool:
    """Whether workers are replaced regularly (gunicorn's max_requests), by the release's rendered
    configuration or by the application's own."""
    for path in release.glob("*gunicorn.conf.py"):
        if _REPLACES.search(path.read_text(encoding="utf-8", errors="replace")):
            return True
    return False


class Deaths:
    """The number of workers that are gone. A worker that starts and dies between two looks is not
    seen, so this is a lower bound."""

    def __init__(self) -> None:
        self._alive: Set[int] = set()
        self.count = 0

    def look(self, alive: Set[int]) -> None:
        self.count += len(self._alive - alive)
        self._alive = alive

    def complaint(self, limit: int) -> str:
        if self.count <= limit:
            return ""
        return f"{self.count} of its workers died, the limit is {limit}"
