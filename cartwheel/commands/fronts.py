"""HTTPS on the balancers, where it ends before the hosts behind them (tls.at). Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cartwheel.commands import dns
from cartwheel.commands.ask import read
from cartwheel.commands.scene import Scene, located
from cartwheel.errors import CartwheelError, HostError, for_host
from cartwheel.events import Event
from cartwheel.host.wire.tls import AskTls
from cartwheel.plan.condition import Finding, in_front

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import Facts

Judged = Mapping[str, list[Finding]]


def judged(scene: Scene) -> dict[str, list[Finding]]:
    """What each balancer serves over HTTPS; none if that ends elsewhere."""
    settings = scene.settings
    if not settings.tls.is_on or settings.tls_end != "balancer":
        return {}
    from cartwheel.commands.balancing import balancers  # not needed to look at most hosts

    found = read(replace(scene, chosen=balancers(scene)), AskTls())
    return {
        host: [_unknown(host, one)]
        if isinstance(one, CartwheelError)
        else in_front(host, one, settings.web.names)
        for host, one in found.items()
    }


def _unknown(host: str, error: CartwheelError) -> Finding:
    return Finding(host, "https", "PROBLEM", error.message, for_host(error.hint, host), True)


def problems(found: Judged) -> list[CartwheelError]:
    """What is wrong with it, for the exit code of a task that only reads."""
    return [
        HostError("not-well", one.detail, host=host, hint=one.todo)
        for host, findings in found.items()
        for one in findings
        if not one.ok
    ]


def lines(found: Judged) -> list[str]:
    """What is well with it, or a note."""
    return [f"{host}: {one.note}" for host, findings in found.items() for one in findings if one.ok]


def until(scene: Scene, facts: Mapping[str, Facts]) -> dict[str, str]:
    """For each host what it still serves HTTPS for; "" if it need not. Says in a line what each
    balancer serves."""
    found = judged(scene)
    for host, findings in found.items():
        for one in findings:
            text = one.note if one.ok else f"{one.note}; {one.todo}"
            scene.emit(Event("balancer", "note", text, host))
    own = [host for host, one in facts.items() if one.tls is not None and one.tls.end == "app"]
    return _still_needed(scene, found, own) if found else {}


def _still_needed(scene: Scene, found: Judged, hosts: list[str]) -> dict[str, str]:
    """The visitors of a host that has served HTTPS come to it until the balancers serve it, and
    until the names lead there."""
    for balancer, findings in found.items():
        if any(one.serving for one in findings):
            return dict.fromkeys(hosts, f"{balancer} serves it: `fab balancer.setup`")
    chosen = tuple(host for host in scene.chosen if host.name in hosts)
    where, names = located(scene, chosen), scene.settings.web.names
    known = dns.addresses_of({*names, *where.values()}) if hosts else {}
    return {
        host: next(
            (
                f"{name} leads to the balancers, which is {address} (DNS, as this machine sees it)"
                for name in names
                for address in known[name] or ()
                if address in (known[where[host]] or ())
            ),
            "",
        )
        for host in where
    }
