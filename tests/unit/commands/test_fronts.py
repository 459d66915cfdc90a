"""When hosts may stop to serve HTTPS because balancers in front of them do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.commands import dns, fronts
from cartwheel.commands.balancing import addresses
from cartwheel.errors import ConnectError
from cartwheel.events import Event
from cartwheel.host.wire.tls import TlsState
from tests.kit.certificates import certificate
from tests.unit.answers import facts
from tests.unit.commands.test_siblings import BALANCED, FRONTS, scene

NAME = "shop.example.org"
PEM = certificate(NAME).pem
WELL = TlsState("/a.pem", 443, True, PEM, PEM, "", 1.8e9, end="balancer")
OWN = facts(lambda known: known.update(tls={"live": "a", "site": "b", "certificate": PEM}))
BARE = facts(lambda known: None)
HOST = 'a address = "192.0.2.1"'


@pytest.fixture
def until(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[dict[str, str], list[str]]]:
    """What the host `a` still serves HTTPS for, and what is said of the balancers."""

    def ask(
        answers: dict[str, Any], known: Any = OWN, leads: tuple[str, ...] = ()
    ) -> tuple[dict[str, str], list[str]]:
        said: list[Event] = []
        one = replace(scene(tmp_path, HOST, *FRONTS, tls=BALANCED), emit=said.append)
        monkeypatch.setattr(fronts, "read", lambda _scene, _asked: answers)
        found = {NAME: list(leads), "192.0.2.1": ["192.0.2.1"]}
        monkeypatch.setattr(dns, "addresses_of", lambda names: {n: found[n] for n in names})
        until = fronts.until(one, {"a": known})
        return until, [f"{event.host}: {event.detail}" for event in said]

    return ask


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is good for 80 days."""
    import time

    monkeypatch.setitem(WELL.__dict__, "time", time.time())


def test_hosts_stop_once_all_balancers_serve(until: Any) -> None:
    found, said = until({"x": WELL, "y": WELL})
    assert found == {"a": ""}
    assert [line.partition(": ")[0] for line in said] == ["x", "y"]
    assert "in 79 days" in said[0]


def test_not_before(until: Any) -> None:
    for wrong in (None, ConnectError("ssh-unreachable", "no answer", host="y")):
        found, said = until({"x": WELL, "y": wrong})
        assert found == {"a": "y serves it: `fab balancer.setup`"}
        assert said[1].startswith("y: ")


def test_nor_while_a_name_still_leads_to_the_host(until: Any) -> None:
    found, _said = until({"x": WELL, "y": WELL}, leads=("192.0.2.1",))
    assert found["a"].startswith(f"{NAME} leads to the balancers, which is 192.0.2.1 (DNS")
    assert until({"x": WELL, "y": WELL}, leads=("192.0.2.8",))[0] == {"a": ""}


def test_a_host_without_https_waits_for_nothing(until: Any) -> None:
    assert until({"x": None, "y": None}, BARE)[0] == {}


def test_a_balancer_that_the_settings_use_no_more_is_trusted(tmp_path: Path) -> None:
    """Until the names lead elsewhere, it passes requests on: without trust, in a loop."""
    trusted = ("192.0.2.8", "192.0.2.9")
    assert addresses(scene(tmp_path, HOST, *FRONTS, tls=BALANCED)) == trusted
    assert addresses(scene(tmp_path, HOST, *FRONTS)) == trusted
    gone = 'z roles = ["balancer"]\naddress = "gone.invalid"'
    assert addresses(scene(tmp_path, HOST, gone)) == ()
