"""Whatever a host says, the views come."""

from __future__ import annotations

import math
import time

import pytest
from flask.testing import FlaskClient

from cartwheel.host.wire.look import AppLook, DiskLook, HostLook, ProcessLook, TimerLook
from cartwheel_monitor import remembered
from cartwheel_monitor.observations import Look, Probe
from tests.kit import monitored
from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import filled, page

__all__ = ["filled", "page"]

TEXT = "\ud800<b>\x00"


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, 1e300, -1e18])
@pytest.mark.parametrize("where", ["/", "/incidents", "/checks", "/apps/shop/"])
def test_a_view_comes(page: FlaskClient, filled: Filled, where: str, number: float) -> None:
    app = AppLook(
        "shop", TEXT, TEXT, since=number, until=number, front=TEXT,
        processes=(ProcessLook(TEXT, TEXT, TEXT, TEXT, since=number),),
        timers=(TimerLook(TEXT, TEXT, TEXT, 1, number, number),),
    )  # fmt: skip
    seen = HostLook(
        1, time=number, load=number, disks=(DiskLook(TEXT),), apps=(app,), unread={TEXT: TEXT}
    )
    look = Look("web1", time.time(), seen, "", number)
    monitored.keep(filled, "look:web1", remembered.look_text(look, look))
    probe = Probe("shop", time.time(), 200, number, "", filled.url, number, number)
    monitored.keep(filled, f"probe:{filled.url}", remembered.probe_text(probe))
    answer = page.get(where)
    assert answer.status_code == 200
    assert "<b>\x00" not in answer.get_data(as_text=True)
