"""`fab rollback` and `fab restart`: a switch to what is on the host already. No build, no
index, no upload."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from cartwheel.fleet.model import Report
from cartwheel.fleet.sessions import Fleet
from cartwheel.plan.deploy import held_refusal, stopped_refusal, switch_step
from cartwheel.plan.hooks import Kind, hooks_for
from cartwheel.plan.model import HostPlan, Refusal, Step
from cartwheel.run.balancing import balancing, balancing_if_possible
from cartwheel.run.deploy import probe_settled
from cartwheel.run.hooks import around_run
from cartwheel.run.rollout import roll_out
from cartwheel.run.scene import Scene

Facts = Mapping[str, Any]


def rollback(scene: Scene, to: str | None) -> Report:
    """Back to the last good release of each host, or to the named one.

    `to` is a release's name or a version; every host decides by its own journal.
    """
    return _switch(scene, "rollback", lambda facts: _target(facts, to), named=to)


def restart(scene: Scene) -> Report:
    """A second instance of what serves, then the traffic to it, then the first one stops."""
    return _switch(scene, "restart", lambda facts: facts["app"]["current"])


def _switch(
    scene: Scene, kind: Kind, choose: Callable[[Facts], str | None], named: str | None = None
) -> Report:
    started = time.monotonic()
    around = balancing_if_possible if kind == "rollback" else balancing

    def planning(some: Scene, fleet: Fleet) -> dict[str, HostPlan]:
        return {
            host: plan_switch(some, facts, kind, choose(facts), named)
            for host, facts in probe_settled(some, fleet).items()
        }

    report = around_run(scene, kind, lambda: roll_out(scene, planning, around))
    return report.of_kind(kind).timed(time.monotonic() - started)


def _target(facts: Facts, to: str | None) -> str | None:
    if to is None:
        wanted: str | None = facts["app"]["rollback"]
        return wanted
    named = [
        manifest["release"]
        for manifest in facts["app"]["releases"]
        if to in (manifest["release"], manifest["version"])
    ]
    return named[-1] if named else None


def plan_switch(
    scene: Scene, facts: Facts, kind: Kind, release: str | None, named: str | None = None
) -> HostPlan:
    """Refuses what cannot be; otherwise one switch and nothing before it. `named` is what the
    user asked for, where it is not the host that chose."""
    app = facts["app"]
    refusals: list[Refusal] = []
    if app["freeze"]:
        refusals.append(held_refusal(app["freeze"]))
    if app["current"] is None:
        refusals.append(Refusal("not-deployed", f"{scene.settings.slug} is not deployed here"))
    elif app["stopped"]:
        refusals.append(stopped_refusal(app["stopped"]))
    elif release is None and named is not None:
        refusals.append(Refusal("no-release", f"there is no release or version {named}"))
    elif release is None:
        refusals.append(Refusal("no-rollback", "there is no earlier good release"))
    versions = {manifest["release"]: manifest["version"] for manifest in app["releases"]}
    step = Step("switch", "switch", 0.0)
    if not refusals and release is not None:
        step = switch_step(
            scene.settings,
            kind=kind,
            release=release,
            version=versions.get(release, ""),
            fresh=False,
            changes={},
            operator=scene.operator,
        )
    unchanged = kind == "rollback" and release is not None and release == app["current"]
    return HostPlan(
        release=release or "",
        version=versions.get(release or "", ""),
        current=app["current"],
        unchanged=unchanged,
        fresh=False,
        prepare=(),
        switch=step,
        hooks=() if unchanged else hooks_for(scene.settings, kind),
        refusals=tuple(refusals),
        premise=app["premise"],
        seq=app["seq"],
    )
