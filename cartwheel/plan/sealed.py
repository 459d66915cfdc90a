"""A reviewed plan, in a form that a later one can be compared with: every step by its digest,
without secrets and their key; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace

from cartwheel.decoded import Fields, Table
from cartwheel.plan import steps
from cartwheel.plan.hooks import Hook
from cartwheel.plan.host_plan import HostPlan, Operator
from cartwheel.plan.step import AnyStep
from cartwheel.settings import names

_NO_KEY = "00"

Sealed = Fields


def seal(plan: HostPlan) -> Table:
    """What must still be the same when the plan is carried out."""
    key = plan.digest_key or _NO_KEY
    return {
        "current": plan.current,
        "release": plan.release,
        "version": plan.version,
        "unchanged": plan.unchanged,
        "premise": plan.premise,
        "moves": [[one.name, one.takes.written] for one in plan.moves],
        "operations": [_sealed(one, key) for one in steps.in_order(_apart_from_its_run(plan))],
    }


def _apart_from_its_run(plan: HostPlan) -> HostPlan:
    """Operator, reason, time and commit describe the run, so they are not part of the
    comparison."""
    making = plan.making and replace(plan.making, created="")
    return replace(plan, operator=Operator(""), making=making, commit="")


def _sealed(one: AnyStep | Hook, key: str) -> dict[str, str]:
    if isinstance(one, Hook):
        digest = names.keyed_digest(key, json.dumps(asdict(one), sort_keys=True))
        return {"title": one.title, "digest": digest}
    return {"title": one.title, "digest": one.digest(key)}


def stale(sealed: Mapping[str, Sealed], plans: Mapping[str, HostPlan]) -> list[str]:
    """Differences between the kept plan and the plans of now; empty if there are none."""
    found = [f"{host} is not in the plan" for host in plans if host not in sealed]
    found += [f"{host} is in the plan, but not in this run" for host in sealed if host not in plans]
    for host, plan in plans.items():
        if host in sealed:
            found += [f"{host}: {what}" for what in _differs(sealed[host], seal(plan))]
    return found


def _differs(then: Sealed, now: Sealed) -> Iterator[str]:
    """The differences of one host, causes first."""
    if then["current"] != now["current"]:
        yield f"{now['current'] or 'nothing'} is live, and was {then['current'] or 'nothing'}"
    elif then["release"] != now["release"]:
        yield f"the release would be {now['release']}, and was to be {then['release']}"
    elif then["operations"] != now["operations"]:
        yield from _operations_differ(then["operations"], now["operations"])
    elif then.get("moves", []) != now["moves"]:
        yield "something else would move to another host"
    elif then["premise"] != now["premise"] or then["unchanged"] != now["unchanged"]:
        yield "its releases or links have changed"


def _operations_differ(then: list[Sealed], now: list[Sealed]) -> Iterator[str]:
    before = {one["title"]: one for one in then}
    after = {one["title"]: one for one in now}
    yield from (
        f"{one['title']} is now needed too" for op, one in after.items() if op not in before
    )
    yield from (
        f"{one['title']} is no longer needed" for op, one in before.items() if op not in after
    )
    for op, one in after.items():
        if op in before and one["digest"] != before[op]["digest"]:
            yield f"{one['title']} would be different"
