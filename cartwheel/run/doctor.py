"""`fab doctor`: everything that a deploy will need, checked at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cartwheel import build
from cartwheel.errors import CartwheelError
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.sessions import Result
from cartwheel.plan.deploy import refusals
from cartwheel.run.deploy import PROBE_SECONDS, probe_args
from cartwheel.run.product import index_password
from cartwheel.run.scene import Scene, connect, raise_failures

Facts = Mapping[str, Any]

# TLS certificates and apt's release files are refused by clocks that are further off.
_MAX_CLOCK_SECONDS = 60.0
_REPAIR_SECONDS = 300.0
_LOW_BYTES = 512 << 20


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    host: str
    what: str
    ok: bool
    detail: str


def doctor(scene: Scene, *, fix: bool) -> list[Finding]:
    """Look at every host; with `fix` put in order first what a fault left."""
    findings: list[Finding] = []
    with connect(scene, changing=fix) as fleet:
        if fix:
            raise_failures(lock_all(fleet, scene.hosts, scene.terms))
            repaired = fleet.ask("repair", scene.base_args, deadline_seconds=_REPAIR_SECONDS)
            findings += [
                finding for host, one in repaired.items() for finding in _of_repair(host, one)
            ]
        answers = fleet.ask("probe", probe_args(scene), deadline_seconds=PROBE_SECONDS)
        examined = fleet.ask(
            "examine",
            {
                **scene.base_args,
                "index_environment": build.pip_environment(
                    scene.settings.index, index_password(scene)
                ),
                "pip_version": build.PIP_VERSION,
            },
            deadline_seconds=_REPAIR_SECONDS,
        )
    for host, facts in answers.items():
        if isinstance(facts, CartwheelError):
            findings.append(Finding(host, "connection", False, str(facts)))
            continue
        findings += _of_facts(scene, host, facts)
        more = examined[host]
        if isinstance(more, CartwheelError):
            findings.append(Finding(host, "examination", False, more.message))
        else:
            findings += _of_examination(host, more)
    return findings


def _of_repair(host: str, one: Result[dict[str, Any]]) -> Iterator[Finding]:
    if isinstance(one, CartwheelError):
        yield Finding(host, "repair", False, one.message)
        return
    yield from (Finding(host, "repair", True, f"removed {text}") for text in one["done"])
    if not one["done"]:
        yield Finding(host, "repair", True, "nothing to do")


def _of_facts(scene: Scene, host: str, facts: Facts) -> Iterator[Finding]:
    yield Finding(host, "connection", True, "root, by sudo where needed")
    system = facts["host"]["os"]["PRETTY_NAME"]
    yield Finding(host, "system", facts["host"]["systemd"] is not None, system)
    python = facts["python"]
    detail = f"{python['version']} at {python['path']}" if python else "none of the wanted version"
    yield Finding(host, "python", python is not None, detail)
    off = abs(facts["host"]["time"] - time.time())
    yield Finding(host, "clock", off < _MAX_CLOCK_SECONDS, f"{off:.0f} s off")
    disk = facts["disk"][scene.settings.host.base]
    room = f"{disk['free_bytes'] >> 20} MB, {disk['free_inodes']} inodes free"
    yield Finding(host, "disk", disk["free_bytes"] > _LOW_BYTES, room)
    yield Finding(
        host, "nginx", facts["nginx"]["version"] is not None, str(facts["nginx"]["version"])
    )
    for refusal in refusals(scene.settings, facts):
        yield Finding(host, "deploy", False, refusal.message)


def _of_examination(host: str, more: Facts) -> Iterator[Finding]:
    yield Finding(
        host, "nginx -t", not more["nginx_complaint"], more["nginx_complaint"] or "content"
    )
    yield Finding(host, "mirror", not more["index"], more["index"] or "answers")
    yield from (Finding(host, "leftover", False, text) for text in more["leftovers"])
    if not more["leftovers"]:
        yield Finding(host, "leftovers", True, "none")
