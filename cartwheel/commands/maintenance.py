"""`fab maintenance.*`: close the site for visitors on all hosts that run web, and open it again."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cartwheel.commands.ask import Answers
from cartwheel.commands.holding import written_name
from cartwheel.commands.scene import Scene, connect, raise_failures, reach
from cartwheel.errors import UsageError
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.sessions import Fleet, failures, successes
from cartwheel.plan.switching import probe
from cartwheel.render.maintenance import render_closed

if TYPE_CHECKING:
    from cartwheel.host.wire.maintenance import Closed, Opened

_SECONDS = 120.0


def networks(allow: Sequence[str]) -> tuple[str, ...]:
    """Addresses and networks as the web server writes them. Raises UsageError."""
    found: list[str] = []
    for one in allow:
        try:
            network = ipaddress.ip_network(one, strict=False)
        except ValueError:
            said = f"--allow takes addresses and networks, not {one!r}"
            raise UsageError("usage", said, hint="`--allow 192.0.2.7,2001:db8::/32`") from None
        found.append(str(network))
    return tuple(dict.fromkeys(found))


def turn_on(scene: Scene, minutes: int, allow: tuple[str, ...]) -> Answers[Closed]:
    """Close the site on every host that runs web, or on none. `minutes`: 0 for the usual time.

    Raises UsageError for an address, for a template, and if a host that runs web is not chosen; and
    the hosts' failures.
    """
    from cartwheel.host.wire.maintenance import CloseSite

    _refuse_some(scene)
    settings, allowed = scene.settings, networks(allow)
    site = render_closed(settings, scene.operator.message, minutes, allowed, scene.project)
    asked = CloseSite(
        pages=site.pages,
        included=site.included,
        minutes=minutes,
        allow=allowed,
        probe=probe(settings),
        listen=settings.web.listen,
    )
    with connect(scene, changing=True) as fleet:
        raise_failures(lock_all(fleet, scene.hosts, scene.terms))
        found = fleet.ask(asked, deadline_seconds=_SECONDS, hosts=_with_web(scene))
        if failures(found):
            _open_again(fleet, successes(found))
        raise_failures(found)
        return found


def turn_off(scene: Scene) -> Answers[Opened]:
    """Open the site again on every host that can be reached; the others' failures."""
    from cartwheel.host.wire.maintenance import OpenSite

    sessions, silent = reach(scene, changing=True)
    with Fleet(sessions, scene.emit, parallel=scene.parallel) as fleet:
        fleet.drop(silent)
        failed = {**silent, **failures(lock_all(fleet, list(sessions), scene.terms))}
        free = [host for host in sessions if host not in failed]
        answers = fleet.ask(OpenSite(), deadline_seconds=_SECONDS, hosts=free)
    return {**answers, **failed}


def _open_again(fleet: Fleet, closed: dict[str, Closed]) -> None:
    """What another host could not do is undone; who was closed before stays so."""
    from cartwheel.host.wire.maintenance import OpenSite

    newly = [host for host, one in closed.items() if one.was is None]
    fleet.ask(OpenSite(), deadline_seconds=_SECONDS, hosts=newly)


def _with_web(scene: Scene) -> list[str]:
    return [host for host in scene.hosts if scene.assigned(host).has_web]


def _refuse_some(scene: Scene) -> None:
    """Visitors come to any of the hosts."""
    chosen = {written_name(scene, host) for host in scene.hosts}
    others = [
        host.name
        for host in scene.fleet
        if scene.has_web(host) and written_name(scene, host.name) not in chosen
    ]
    if others:
        raise UsageError(
            "usage",
            f"maintenance.on is for all hosts that run web, and {', '.join(others)} is missing",
            hint="Leave out -H, --role, --limit and --exclude.",
        )
