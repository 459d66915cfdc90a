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
from cartwheel.host.layout import Layout, first_of, slots
from cartwheel.host.wire.compare import Compare, Present
from cartwheel.host.wire.facts import Facts
from cartwheel.plan.differences import Differences, differences, wanted
from cartwheel.plan.host_plan import HostPlan
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
        present = _present(fleet, plans)
    return {
        host: Planned(
            _with_balancer(scene, one), _differences(scene, one, facts[host], present[host])
        )
        for host, one in plans.items()
    }


def _present(fleet: Fleet, plans: Mapping[str, HostPlan]) -> dict[str, Present]:
    """The parts of its plan that each host already has. Raises the hosts' failures."""

    def compare(host: str, session: Session) -> Present:
        return session.request(Compare(*wanted(plans[host])), deadline_seconds=PROBE_SECONDS)

    answers = fleet.each(compare)
    raise_failures(answers)
    return successes(answers)


def _differences(scene: Scene, plan: HostPlan, facts: Facts, present: Present) -> Differences:
    at = Layout(scene.settings.slug, Path(scene.settings.host.base))
    taken = {*present.running, *present.stopping}
    if facts.app.serving is not None:
        taken.add(at.unit(facts.app.serving))
    units = (at.unit(replace(first_of(plan.release), slot=slot)) for slot in slots())
    unit = next(one for one in units if one not in taken)
    releases = {one.release: one for one in facts.app.releases}
    return differences(plan, present, releases, unit, facts.app.settings)


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
