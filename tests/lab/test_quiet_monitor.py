"""Deploys, rollbacks and visitors for hours: a monitor has nothing to tell.

`script/test --nightly` sets CARTWHEEL_SOAK_MINUTES to three hours; without it a few minutes show
that it works.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import endurance
from bench.endurance import Served
from tests.lab.conftest import GetHosts
from tests.lab.test_endurance import SHARED_ROLLBACK_SECONDS

MINUTES = float(os.environ.get("CARTWHEEL_SOAK_MINUTES", "3"))
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(MINUTES * 60 + 900)]


def test_nobody_is_told_anything(hosts: GetHosts, tmp_path: Path) -> None:
    host, monitor = hosts(2)
    for one in (host, monitor):
        one.reset()
    rows = endurance.endure(
        host,
        tmp_path,
        2,
        Served(https=True),
        keep_releases=2,
        rollback_seconds=SHARED_ROLLBACK_SECONDS,
        minutes=MINUTES,
        monitor=monitor,
    )
    print(endurance.table(rows))
    # Memory is judged by the bench: in hours that of nginx grows.
    assert [row for row in rows if row.is_over and not row.what.startswith("MiB")] == []
    [watched] = [row for row in rows if row.what == "minutes that the monitor watched"]
    assert watched.now >= MINUTES
