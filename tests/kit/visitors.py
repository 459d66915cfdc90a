"""Visitors of a site while something happens to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cartwheel_lab import LabHost, load
from cartwheel_lab.visitors import Visits, visiting

KINDS = ("keep-alive", "close", "slow", "upload", "stream")


@dataclass
class Loaded:
    """The load's summary, once it has ended."""

    visits: Visits

    @property
    def result(self) -> dict[str, Any]:
        return self.visits.result

    def assert_nobody_noticed(self) -> None:
        """No request failed, no kept connection closed, none was late; enough were sent."""
        shown = json.dumps(self.result, indent=1)
        assert self.result["failed"] == 0, shown
        assert self.result["idle_closed"] == [], shown
        assert self.result["late"] == 0, shown
        for kind in KINDS:
            assert self.result["sent"].get(kind, 0) > 0, shown


@contextmanager
def loaded(host: LabHost, **plan: Any) -> Iterator[Loaded]:
    """Load on the host's site while the block runs (fields of `load.Plan`)."""
    wanted = load.Plan(**{"seconds": 240, "pause_seconds": 0.05, **plan})
    with visiting(host, wanted) as visits:
        yield Loaded(visits)
