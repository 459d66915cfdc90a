"""What systemd says of units, read; systemd itself is a stand-in that says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.process import instances
from cartwheel.host.system import children, systemd
from cartwheel.host.system.children import Done
from tests.unit.hostside import web

AT = Layout("shop", Path("/srv"))


def saying(monkeypatch: pytest.MonkeyPatch, text: str) -> list[list[str]]:
    """systemctl says this; what it was asked."""
    asked: list[list[str]] = []

    def ask(argv: list[str], **_more: Any) -> Done:
        asked.append(argv)
        return Done(0, text, "")

    def run(_ctx: Any, argv: list[str], **_more: Any) -> Done:
        asked.append(argv)
        return Done(0, "")

    monkeypatch.setattr(children, "ask", ask)
    monkeypatch.setattr(children, "run", run)
    return asked


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("40s", 40),
        ("1min 10s", 70),
        ("1h 1min 1.500s", 3661.5),
        ("250ms", 0.25),
        ("1d", 86400),
        ("1w", 86400),
        ("1month", 86400),
        ("infinity", 86400),
        ("", 90),
    ],
)
def test_the_time_of_a_unit_to_end(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: float
) -> None:
    saying(monkeypatch, f"Id=x.service\nActiveState=active\nTimeoutStopUSec={text}\n")
    assert systemd.state("x.service").stop_seconds == seconds


def test_what_runs_and_what_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    said = """
cartwheel-shop.web.1.0.a.service       loaded active       running shop web
cartwheel-shop.web-b.1.0.a.service     loaded deactivating stop-sigterm shop web
cartwheel-shop.web-c.1.0.a.service     loaded inactive     dead shop web
● cartwheel-shop.web-d.1.0.a.service   loaded failed       failed shop web
cartwheel-shop.web.2.0.b.service       loaded active       running shop web
cartwheel-shop.drain-web.2.0.b.service loaded active       running waits
cartwheel-shop.drain-web.3.0.c.service loaded active       running its instance has gone
cartwheel-shop.web.4.0.d@1.service     loaded active       running shop web
● cartwheel-shop.web.4.0.d@2.service   loaded failed       failed shop web
cartwheel-shop.web.4.0.d@12.service    loaded active       running shop web
cartwheel-shop.drain-12.4.0.d.service  loaded active       running waits
cartwheel-shop.drain-2.4.0.d.service   loaded active       running waits
cartwheel-shop.drain-1.4.0.d.service   loaded failed       failed nobody waits
cartwheel-shop.web.4.0.d@x.service     loaded active       running not ours
cartwheel-shop.web.4.0.d@0.service     loaded active       running not ours
cartwheel-shop.4.0.d.service           loaded active       running not ours
cartwheel-shop.staging.web.1.0.service loaded active       running not ours
cartwheel-shop.web.d.service           loaded active       running not ours
cartwheel-shop.web-e.1.0.service       loaded active       running not ours
cartwheel-shop.other-web.1.0.service   loaded active       running not ours
cartwheel-shop_job.mail.1.0.a.service  loaded activating   start   shop mail
cartwheel-shop_job.mail.2.0.b.service  loaded inactive     dead    shop mail
● cartwheel-session-shop-0a1b.service  loaded failed       failed  session
● cartwheel-verify-shop-0a1c.service   loaded failed       failed  trial
● cartwheel-session-shop-of-x.service  loaded failed       failed  not ours
cartwheel-session-shop-0a1d.service    loaded active       running session
"""
    asked = saying(monkeypatch, said)
    assert systemd.instances(AT) == {
        web("1.0.a", "web"): "active",
        web("1.0.a", "web-b"): systemd.STOPPING,
        web("2.0.b", "web"): systemd.STOPPING,
        web("4.0.d", "1"): "active",
        web("4.0.d", "12"): systemd.STOPPING,
    }
    assert len(asked) == 1
    units = systemd.units(AT)
    assert units.jobs == (("mail", "1.0.a"),)
    assert units.failed == (
        "cartwheel-session-shop-0a1b.service",
        "cartwheel-shop.web-d.1.0.a.service",
        "cartwheel-shop.web.4.0.d@2.service",
        "cartwheel-verify-shop-0a1c.service",
    )
    taken = {one.slot for one in units.active if one.release == "4.0.d"}
    assert taken == {"1", "2", "12"}, "also what is at rest"
    assert instances.free(AT, "4.0.d") == web("4.0.d", "3")


def test_a_stop_waits_for_nobody_and_sends_no_signal_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = saying(monkeypatch, "")
    systemd.stop("x.service")
    assert [one for one in asked if one[1] != "show"] == [
        ["systemctl", "stop", "--no-block", "x.service"]
    ]


def test_a_stop_has_begun_when_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks next must not take the instance for one that runs."""
    states = iter(("active", "active", systemd.STOPPING))
    monkeypatch.setattr(children, "run", lambda *_args, **_more: Done(0, ""))
    monkeypatch.setattr(
        children, "ask", lambda *_args, **_more: Done(0, f"ActiveState={next(states)}\n", "")
    )
    systemd.stop("x.service")
    assert next(states, None) is None
