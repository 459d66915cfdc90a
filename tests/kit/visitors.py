"""Visitors of a site while something happens to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from cartwheel_lab import LabHost, load
from cartwheel_lab.visitors import Visits, visiting, visiting_by
from tests.kit import load_http2, load_websocket

KINDS = ("keep-alive", "close", "slow", "upload", "stream")


@dataclass
class Loaded:
    """The load's summary, available after the load has ended."""

    visits: Visits

    @property
    def result(self) -> dict[str, Any]:
        return self.visits.result

    def assert_nobody_noticed(self) -> None:
        """No request failed or was late, no kept connection was closed, and enough were sent."""
        shown = json.dumps(self.result, indent=1)
        assert self.result["failed"] == 0, shown
        assert self.result["idle_closed"] == [], shown
        assert self.result["late"] == 0, shown
        for kind in KINDS:
            assert self.result["sent"].get(kind, 0) > 0, shown

    def assert_served_by(self, releases: set[str]) -> None:
        """No request failed, each of these releases has answered, and some visits were made."""
        shown = json.dumps(self.result, indent=1)
        assert self.result["failed"] == 0, shown
        assert set(self.result["releases"]) == releases, shown
        if self.result["seconds"] > 1:  # a refusal can be quicker than six visits
            assert sum(self.result["sent"].values()) > 5, shown


@contextmanager
def loaded(host: LabHost, /, **plan: Any) -> Iterator[Loaded]:
    """Put load on the host's site during the block (`plan`: fields of `load.Plan`)."""
    few = {"keep_alive": 2, "close": 2, "slow": 1, "upload": 1, "stream": 1}
    wanted = load.Plan(**{"seconds": 240, "pause_seconds": 0.1, **few, **plan})
    with visiting(host, wanted) as visits:
        yield Loaded(visits)


@contextmanager
def at_front_page(host: LabHost, /, **plan: Any) -> Iterator[Loaded]:
    """Visitors of the front page only; its text names the release."""
    quick = {"upload": 0, "stream": 0, "path": "/", "release_pattern": "(.+)"}
    with loaded(host, **quick, **plan) as one:
        yield one


@contextmanager
def one_visitor(host: LabHost) -> Iterator[Loaded]:
    """One visitor who opens the front page repeatedly."""
    with at_front_page(host, close=1, keep_alive=0, slow=0, pause_seconds=0.05) as one:
        yield one


@contextmanager
def over_http2(host: LabHost, plan: load_http2.Plan) -> Iterator[Loaded]:
    """Visitors over TLS with HTTP/2 during the block."""
    with visiting_by(host, load_http2.__file__, asdict(plan)) as visits:
        yield Loaded(visits)


@contextmanager
def by_websocket(host: LabHost, plan: load_websocket.Plan) -> Iterator[Loaded]:
    """Visitors with a websocket each during the block."""
    with visiting_by(host, load_websocket.__file__, asdict(plan)) as visits:
        yield Loaded(visits)
