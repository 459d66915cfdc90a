"""`fab rollback`, `fab restart` and `fab status --finish`: a switch to a release that is already
on the host. No build, no index, no upload."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cartwheel.commands.balancing import balancing, balancing_if_possible
from cartwheel.commands.deploy import probe, probe_settled
from cartwheel.commands.holding import holding
from cartwheel.commands.hooks import around_run
from cartwheel.commands.neighbours import rendering_facts
from cartwheel.commands.rendering import render_for
from cartwheel.commands.rollout import roll_out
from cartwheel.commands.scene import Scene, connect, for_hosts, raise_failures
from cartwheel.errors import CartwheelError
from cartwheel.events import Event
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.moving import move_all
from cartwheel.fleet.report import Report
from cartwheel.fleet.sessions import Fleet
from cartwheel.plan.deploy import changes_of_site, nothing, runs_here
from cartwheel.plan.holders import ALONE, Place
from cartwheel.plan.hooks import hooks_for
from cartwheel.plan.host_plan import HostPlan, Refusal
from cartwheel.plan.processes import processes_of, stop_seconds, switch_seconds
from cartwheel.plan.refusals import held_refusal, stopped_refusal
from cartwheel.plan.switching import with_switch
from cartwheel.render.release import RenderFacts
from cartwheel.settings.phases import TO_MAKE, Kind

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import Facts


def rollback(scene: Scene, to: str | None) -> Report:
    """Go back to the last good release of each host, or to the named one.

    `to` is a release's name or a version; every host decides by its own journal.
    """
    return _switch(scene, "rollback", lambda _host, facts: rollback_target(facts, to))


def restart(scene: Scene) -> Report:
    """Start a second instance of the live release, switch the traffic to it, stop the first."""
    return _switch(scene, "restart", lambda _host, facts: facts.app.current or "")


def finish(scene: Scene, behind: Mapping[str, str]) -> Report:
    """Switch each host that is `behind` to the release that the others have confirmed, as a deploy
    does: the release is still there, unless it was found bad."""
    some = for_hosts(scene, tuple(behind))
    return _switch(some, "deploy", lambda host, facts: named(facts, behind[host]))


def give(scene: Scene) -> dict[str, CartwheelError]:
    """Give what only one host has, and none does, to a host; the failures by host."""
    with connect(scene, changing=True) as fleet:
        raise_failures(lock_all(fleet, scene.hosts, scene.terms))
        found = holding(scene, probe(scene, fleet))
        for note in found.notes:
            scene.emit(Event("exclusive", "note", note))
        return move_all(fleet, found.moves)


def _switch(scene: Scene, kind: Kind, choose: Callable[[str, Facts], str | Refusal]) -> Report:
    started = time.monotonic()
    around = balancing_if_possible if kind == "rollback" else balancing

    def planning(some: Scene, fleet: Fleet) -> dict[str, HostPlan]:
        found = probe_settled(some, fleet)
        held = holding(some, found)
        kinds = rendering_facts(some, found) if kind == "deploy" else {}
        plans = {
            host: plan_switch(
                some, facts, kind, choose(host, facts), held.place(host), kinds.get(host)
            )
            for host, facts in found.items()
        }
        return held.planned(plans) if kind == "deploy" else plans

    report = around_run(scene, kind, lambda: roll_out(scene, planning, around))
    return report.of_kind(kind).timed(time.monotonic() - started)


def rollback_target(facts: Facts, to: str | None) -> str | Refusal:
    """The release that a rollback on this host goes to, or why there is none."""
    if to is not None:
        return named(facts, to)
    app = facts.app
    if app.rollback:
        return app.rollback
    nothing = ["there is no earlier good release"]
    nothing += [
        f"{release} is damaged: {what}"
        for release, what in app.spoilt.items()
        if release != app.current
    ]
    return Refusal("no-rollback", "; ".join(nothing))


def named(facts: Facts, to: str) -> str | Refusal:
    """The newest undamaged release on this host with this name or version; one that was made
    again also has the name of the first one."""
    spoilt = facts.app.spoilt
    found = [
        one.release for one in facts.app.releases if to in (one.release, one.version, one.content)
    ]
    whole = [release for release in found if release not in spoilt]
    if whole:
        return whole[-1]
    if found:
        return _not_whole(facts, found[-1])
    return Refusal("no-release", f"there is no release or version {to}")


def _not_whole(facts: Facts, release: str) -> Refusal:
    return Refusal("not-whole", f"{release} is damaged: {facts.app.spoilt[release]}")


def _finished(
    scene: Scene, facts: Facts, plan: HostPlan, place: Place, known: RenderFacts
) -> HostPlan:
    """Add the switch of a deploy: a host that went back has its old site and processes again."""
    settings = scene.settings
    assigned = runs_here(settings, facts, place)
    site = changes_of_site(settings, facts, render_for(scene, known, plan.release).site, assigned)
    return with_switch(plan, settings, site, _seconds(facts, plan.release), assigned=assigned)


def _seconds(facts: Facts, release: str) -> float:
    """How much longer a switch to this release may take because of processes."""
    return switch_seconds(processes_of(facts, release), stop_seconds(facts))


def plan_switch(
    scene: Scene,
    facts: Facts,
    kind: Kind,
    chosen: str | Refusal,
    place: Place = ALONE,
    known: RenderFacts | None = None,
) -> HostPlan:
    """Refuse if it is impossible; otherwise only a switch of the host to the `chosen` release.
    `known`: what the site depends on, where it is written too, as by a deploy."""
    plan = nothing(scene.settings, facts, scene.operator, kind)
    if not isinstance(chosen, Refusal):
        versions = {one.release: one.version for one in facts.app.releases}
        plan = replace(plan, release=chosen, version=versions.get(chosen, ""))
    plan = replace(plan, refusals=tuple(_refusals(scene, facts, kind, chosen)))
    if plan.refusals or (kind != "restart" and plan.release == plan.current):
        return plan
    hooks = [hook for hook in hooks_for(scene.settings, kind) if hook.moment.phase not in TO_MAKE]
    plan = replace(plan, hooks=tuple(hooks))
    if known is not None:
        return _finished(scene, facts, plan, place, known)
    return with_switch(plan, scene.settings, {}, _seconds(facts, plan.release))


def _refusals(scene: Scene, facts: Facts, kind: Kind, chosen: str | Refusal) -> Iterator[Refusal]:
    app = facts.app
    if app.freeze:
        yield held_refusal(app.freeze)
    if app.current is None and kind != "deploy":
        yield Refusal("not-deployed", f"{scene.settings.slug} is not deployed here")
    elif app.stopped:
        yield stopped_refusal(app.stopped)
    elif isinstance(chosen, Refusal):
        yield chosen
    elif chosen in app.spoilt:
        yield _not_whole(facts, chosen)
    else:
        yield from _of_prefix(scene, facts, kind, chosen)


def _of_prefix(scene: Scene, facts: Facts, kind: Kind, chosen: str) -> Iterator[Refusal]:
    """Only a deploy writes the site, so a release that was made for another `web.prefix` would be
    asked for by paths that it does not have."""
    moved = (chosen,) if kind == "deploy" else (facts.app.current, chosen)
    now = scene.settings.web.prefix
    for one in facts.app.releases:
        if one.release in moved and one.prefix not in (None, now):
            was = f'{one.release} was made with web.prefix = "{one.prefix}"'
            yield Refusal("other-prefix", f'{was}, and now it is "{now}"')
            return
