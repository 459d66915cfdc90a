"""`fab doctor`: checks the site and everything that a deploy needs, and says what to do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cartwheel.build.index import pip_environment
from cartwheel.build.pip_wheel import PIP_VERSION
from cartwheel.build.uv_wheel import UV_VERSION
from cartwheel.commands import fronts
from cartwheel.commands.deploy import PROBE_SECONDS, asking_facts
from cartwheel.commands.product import index_password
from cartwheel.commands.scene import Scene, raise_failures, reach
from cartwheel.errors import CATALOGUE, CartwheelError, ConnectError, for_host
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.sessions import Fleet, Result, failures
from cartwheel.host.wire.examine import Examination, Examine
from cartwheel.host.wire.facts import Facts, Uv
from cartwheel.host.wire.installing import Installing
from cartwheel.host.wire.status import Status
from cartwheel.host.wire.upkeep import Repair, Repaired
from cartwheel.plan.condition import Finding, Level, conditions
from cartwheel.plan.refusals import refusals
from cartwheel.plan.switching import asking_status
from cartwheel.settings import names

# With a larger difference TLS certificates and apt's release files are refused.
_MAX_CLOCK_SECONDS = 60.0
_REPAIR_SECONDS = 300.0
# Refusals of a deploy, and the row that already reports the problem.
_SAID_ELSEWHERE = (
    *("not-set-up", "no-systemd", "python-version", "held", "stopped", "disk-full"),
    *("site-unread", "web-server-masked"),
)

_MOST_SHOWN = 3
_LARGE_CACHE_BYTES = 1 << 30


def doctor(scene: Scene, *, fix: bool) -> list[Finding]:
    """Look at every host; with `fix` first remove leftovers. A host that cannot be reached is one
    finding. Raises the reason why `fix` cannot take its locks."""
    sessions, unreached = reach(scene, changing=fix)
    repaired: Mapping[str, Result[Repaired]] = {}
    with Fleet(sessions, scene.emit, parallel=scene.parallel) as fleet:
        if fix:
            locked = failures(lock_all(fleet, sessions, scene.terms))
            silent = {host: one for host, one in locked.items() if isinstance(one, ConnectError)}
            raise_failures({host: one for host, one in locked.items() if host not in silent})
            unreached |= silent
            fleet.fallen |= silent
            repaired = fleet.ask(Repair(), deadline_seconds=_REPAIR_SECONDS)
        probed = fleet.taken(asking_facts(scene), _clocked, deadline_seconds=PROBE_SECONDS)
        examined = fleet.ask(_examine(scene), deadline_seconds=_REPAIR_SECONDS)
    findings: list[Finding] = []
    for host in scene.hosts:
        if host in unreached:
            findings.append(_unknown(host, unreached[host]))
        else:
            findings += _of_host(scene, host, repaired.get(host), probed[host], examined[host])
    return [*findings, *(one for found in fronts.judged(scene).values() for one in found)]


@dataclass(frozen=True)
class _Clocked:
    """A host's facts, and how far its clock was ahead of this machine's when they arrived."""

    facts: Facts
    off_seconds: float


def _clocked(_host: str, facts: Facts) -> _Clocked:
    return _Clocked(facts, facts.host.time - time.time())


def _unknown(host: str, error: CartwheelError, what: str = "connection") -> Finding:
    """A host whose state is unknown."""
    return Finding(host, what, "PROBLEM", error.message, for_host(error.hint, host))


def _examine(scene: Scene) -> Examine:
    settings = scene.settings
    return Examine(
        status=asking_status(settings),
        installing=Installing(
            settings.deploy.installer,
            PIP_VERSION,
            UV_VERSION,
            names.user(settings),
            pip_environment(settings.index, index_password(scene)),
        ),
    )


def _of_host(
    scene: Scene,
    host: str,
    repaired: Result[Repaired] | None,
    probed: Result[_Clocked],
    more: Result[Examination],
) -> Iterator[Finding]:
    if repaired is not None:
        yield from _of_repair(host, repaired)
    if isinstance(probed, ConnectError):
        yield _unknown(host, probed)
        return
    yield Finding(host, "connection", "ok", "root, by sudo where needed")
    if isinstance(probed, CartwheelError):
        yield _unknown(host, probed, "look")
    else:
        yield from _of_facts(scene, host, probed)
    if isinstance(more, CartwheelError):
        yield _unknown(host, more, "examination")
        return
    status = more.status
    if isinstance(repaired, Repaired):
        # We hold the lock, and while it is held nothing counts as a leftover.
        status = replace(status, lock=None, leftovers=repaired.left)
    yield from conditions(host, status, has_web=scene.assigned(host).has_web)
    if not status.leftovers:
        yield Finding(host, "leftovers", "ok", "none")
    yield from _of_examination(host, more)
    yield from _of_releases(host, more.damage, status)


def _of_repair(host: str, one: Result[Repaired]) -> Iterator[Finding]:
    if isinstance(one, CartwheelError):
        yield _unknown(host, one, "repair")
        return
    done = [f"removed {text}" for text in one.done]
    done += [
        f"marked {release} as damaged: deploys and rollbacks no longer use it"
        for release in one.marked
    ]
    yield from (Finding(host, "repair", "ok", text) for text in done or ["nothing to do"])


def _of_facts(scene: Scene, host: str, probed: _Clocked) -> Iterator[Finding]:
    facts, off = probed.facts, abs(probed.off_seconds)
    setup = f"`fab setup -H {host}`"
    system = facts.host.system
    if facts.host.systemd is None:
        system = f"{system}; systemd is not running"
        yield Finding(host, "system", "PROBLEM", system, "use a host that runs systemd")
    else:
        yield Finding(host, "system", "ok", system)
    python, wanted = facts.python, scene.settings.app.python
    if python is None:
        yield Finding(host, "python", "PROBLEM", f"no Python {wanted}", f"{setup} installs it")
    elif not python.obstacle:
        yield Finding(host, "python", "ok", f"{python.version} at {python.path}")
    if scene.settings.deploy.installer == "uv" and facts.uv is not None:
        yield _of_uv(host, facts.uv)
    if off < _MAX_CLOCK_SECONDS:
        yield Finding(host, "clock", "ok", f"{off:.0f} s off")
    else:
        todo = f"`timedatectl set-ntp true` on {host}, or set the clock of this machine"
        yield Finding(host, "clock", "PROBLEM", f"{off:.0f} s off this machine's", todo)
    has_web = scene.assigned(host).has_web
    for refusal in refusals(scene.settings, facts, has_web=has_web):
        if refusal.slug not in _SAID_ELSEWHERE:
            todo = for_host(CATALOGUE[refusal.slug].remedy, host)
            yield Finding(host, "deploy", "PROBLEM", refusal.message, todo)


def _of_uv(host: str, known: Uv) -> Finding:
    """A uv that is not Cartwheel's, which works too."""
    if known.version == UV_VERSION:
        return Finding(host, "uv", "ok", known.version)
    detail = f"{known.path} is not uv {UV_VERSION}, the version of this Cartwheel"
    return Finding(host, "uv", "note", detail, f"`fab setup -H {host}` installs it")


def _of_examination(host: str, more: Examination) -> Iterator[Finding]:
    if more.index:
        todo = f"check [index] and the network between {host} and the index"
        yield Finding(host, "mirror", "PROBLEM", more.index, todo)
    elif more.index is not None:
        yield Finding(host, "mirror", "ok", "answers")
    kept = more.cache_bytes
    level: Level = "note" if kept > _LARGE_CACHE_BYTES else "ok"
    todo = f"`fab prune --cache -H {host}` empties it" if level == "note" else ""
    yield Finding(host, "cache", level, f"{kept / 1e6:.0f} MB of downloads", todo)


def _of_releases(
    host: str, damage: Mapping[str, tuple[str, ...]], status: Status
) -> Iterator[Finding]:
    """The problems in the files of a release, in addition to those that `status` knows."""
    mark = f"`fab doctor --fix -H {host}`"
    for release, found in damage.items():
        if not found:
            yield Finding(host, f"release {release}", "ok", "complete")
        elif found != (status.not_whole,):
            more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
            todo = f"{mark}, then `fab deploy -H {host}` makes it again"
            if release != status.release:
                todo = f"{mark} marks it, so that rollbacks skip it"
            detail = f"damaged: {', '.join(found[:_MOST_SHOWN])}{more}"
            yield Finding(host, f"release {release}", "PROBLEM", detail, todo)
