"""`fab plan`: what a deploy would do, and what would be different afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel import writing
from cartwheel.commands.deploy import PROBE_SECONDS, begin, plan_all, probe
from cartwheel.commands.scene import Scene, connect, raise_failures
from cartwheel.errors import UsageError
from cartwheel.fleet.sessions import Fleet, successes
from cartwheel.host.layout import Layout, slots
from cartwheel.host.wire.compare import Compare, Present
from cartwheel.host.wire.facts import Facts
from cartwheel.host.wire.instance import Instance
from cartwheel.plan import processes
from cartwheel.plan.differences import Differences, differences, timer_changes, wanted
from cartwheel.plan.host_plan import HostPlan
from cartwheel.plan.processes import timers_after
from cartwheel.plan.sealed import Sealed, seal

if TYPE_CHECKING:
    from cartwheel.ssh.session import Session

_FORMAT = 2


@dataclass(frozen=True)
class Planned:
    """What a deploy would do on one host, and what would be different afterwards."""

    plan: HostPlan
    differences: Differences


def plan(scene: Scene, *, skip_tests: bool = False) -> dict[str, Planned]:
    """What a deploy would do. Reads the hosts and changes nothing on them."""
    inputs, making = begin(scene, skip_tests=skip_tests, publish=False)
    with making, connect(scene, changing=False) as fleet:
        facts = probe(scene, fleet)
        plans = plan_all(scene, facts, making.result(), inputs)
        present = _present(scene, fleet, plans)
    return {
        host: Planned(
            _with_balancer(scene, one), _differences(scene, one, facts[host], present[host])
        )
        for host, one in plans.items()
    }


def _present(scene: Scene, fleet: Fleet, plans: Mapping[str, HostPlan]) -> dict[str, Present]:
    """The parts of its plan that each host already has. Raises the hosts' failures."""

    def compare(host: str, session: Session) -> Present:
        asked = Compare(*wanted(plans[host]), timers_after(scene.settings, plans[host]))
        return session.request(asked, deadline_seconds=PROBE_SECONDS)

    answers = fleet.each(compare)
    raise_failures(answers)
    return successes(answers)


def _differences(scene: Scene, plan: HostPlan, facts: Facts, present: Present) -> Differences:
    at = Layout(scene.settings.slug, Path(scene.settings.host.base))
    starts = {at.unit(one): one for one in _starting(at, plan, facts, present)}
    stops = {unit: at.instance_of(unit) for unit in present.running}
    moved = processes.changes(
        scene.settings,
        facts,
        [(one, unit) for unit, one in starts.items()],
        [(one, unit) for unit, one in stops.items() if one is not None],
    )
    releases = {one.release: one for one in facts.app.releases}
    found = differences(plan, present, releases, tuple(starts), facts.app.settings, moved)
    after = timers_after(scene.settings, plan)
    return replace(found, timers=timer_changes(present, after) if plan.switch else ())


def _starting(at: Layout, plan: HostPlan, facts: Facts, present: Present) -> list[Instance]:
    """The instances that the plan starts, in the slot that the host would choose."""
    live, app = facts.app.serving, facts.app
    known = [at.instance_of(unit) for unit in (*present.running, *present.stopping)]
    known += app.assigned.side(live.release, live.slot) if live else ()
    taken = {one.slot for one in known if one and one.release == plan.release}
    slot = next(one for one in slots() if one not in taken)
    what = (plan.switch.assigned if plan.switch else None) or app.assigned
    side = what.side(plan.release, slot)
    return [one for one in side if one.process not in app.stopped_processes]


def _with_balancer(scene: Scene, plan: HostPlan) -> HostPlan:
    if plan.unchanged or scene.settings.balancer.kind == "none":
        return plan
    return replace(
        plan, notes=(*plan.notes, "the host is taken out of the balancer for its switch")
    )


def write(path: Path, scene: Scene, plans: Mapping[str, HostPlan]) -> None:
    """Save the plan for `fab deploy --plan`. Raises UsageError("plan-file")."""
    found = {
        "cartwheel": "plan",
        "format": _FORMAT,
        "app": scene.settings.slug,
        "hosts": {host: seal(one) for host, one in plans.items()},
    }
    try:
        writing.pour(path, (json.dumps(found, indent=1) + "\n").encode())
    except OSError as error:
        raise UsageError("plan-file", f"{path}: {error.strerror}") from error


def read(path: Path, scene: Scene) -> dict[str, Sealed]:
    """Read a plan that `write` saved, for the same application. Raises UsageError("plan-file")."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = (found["format"], found["app"])
        hosts: dict[str, Sealed] = dict(found["hosts"])
    except OSError as error:
        raise UsageError("plan-file", f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):
        raise UsageError("plan-file", f"{path} is not a plan") from None
    if known[0] != _FORMAT:
        raise UsageError("plan-file", f"{path} was made by another version of Cartwheel")
    if known[1] != scene.settings.slug:
        raise UsageError(
            "plan-file", f"{path} is a plan for {known[1]}, not for {scene.settings.slug}"
        )
    return hosts
