"""The view of processes and timers."""

from __future__ import annotations

import time

from flask.testing import FlaskClient

from cartwheel.host.wire.look import ProcessLook, TimerLook
from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import filled, look_again, page, text_of

__all__ = ["filled", "page"]


def test_processes_and_timers_of_each_host(page: FlaskClient, filled: Filled) -> None:
    text = text_of(page, "/apps/shop/processes")
    assert text.count("web web runs 24 hours ago 0 300.0 MiB") == 2
    assert text.count("worker 1 runs") == 2
    assert "report web1 0 2 * * * done number 3" in text


def test_what_is_wrong_with_them(page: FlaskClient, filled: Filled) -> None:
    now = time.time()
    look_again(
        filled, "web1",
        processes=(ProcessLook("web", "2", "failed", "exit-code", 7, 1e300, None),),
        timers=(
            TimerLook("late", "cut", "<b>", 4, now - 7200, now - 600),
            TimerLook("idle", "", paused=True),
        ),
    )  # fmt: skip
    look_again(filled, "web2", problem="it did not answer", stopped=True, processes=(), timers=())
    text = text_of(page, "/apps/shop/processes")
    assert "web1 web 2 failed (exit-code) - 7 -" in text
    assert "web2 it did not answer (as it was just now) stopped" in text
    assert "late web1 - was cut off number 4 &lt;b&gt; 2 hours ago late due 10 minutes ago" in text
    assert "idle web1 - none yet - paused" in text


def test_a_host_that_was_never_looked_at(page: FlaskClient, filled: Filled) -> None:
    from tests.unit.monitor.page.kit import store

    store(filled).execute("DELETE FROM kept WHERE key = 'look:web1'")
    store(filled).execute("UPDATE kept SET data = '{' WHERE key = 'look:web2'")
    text = text_of(page, "/apps/shop/processes")
    assert "web1 not looked at yet" in text and "web2 not looked at yet" in text
    assert "It has no timers." in text
