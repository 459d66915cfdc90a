"""A plan that was looked at, in a form that a later one can be compared with: every operation by
its digest. Secrets and their key are in none of it; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from cartwheel.hidden import revealed
from cartwheel.plan import names
from cartwheel.plan.hooks import Hook, moments
from cartwheel.plan.model import HostPlan, Step

# Who asks, why and when is of the run, not of what it does.
_OF_THE_RUN = frozenset(("who", "message", "created"))
_NO_KEY = "00"

Sealed = Mapping[str, Any]


def seal(plan: HostPlan) -> dict[str, Any]:
    """What must be the same again when it is carried out."""
    key = _key(plan)
    return {
        "current": plan.current,
        "release": plan.release,
        "version": plan.version,
        "unchanged": plan.unchanged,
        "premise": plan.premise,
        "operations": [_sealed(one, key) for one in in_order(plan)],
    }


def in_order(plan: HostPlan) -> list[Step | Hook]:
    """What the plan does on its host, with the hooks around it. Those of a migration come with
    one only."""
    if plan.unchanged:
        return []
    migrate = [plan.migrate] if plan.migrate else []
    work = {"prepare": plan.prepare, "migrate": migrate, "switch": [plan.switch]}
    found: list[Step | Hook] = []
    for moment in moments():
        if moment.side == "after":
            found += work.get(moment.phase, ())
        if moment.phase != "migrate" or migrate:
            found += [hook for hook in plan.hooks if hook.moment == moment]
    return found


def title(one: Step | Hook) -> str:
    """As `fab plan` prints it."""
    return str(one) if isinstance(one, Hook) else one.title


def _sealed(one: Step | Hook, key: str) -> dict[str, str]:
    if isinstance(one, Hook):
        said = names.keyed_digest(key, json.dumps(asdict(one), sort_keys=True))
        return {"op": one.title, "title": one.title, "digest": said}
    return {"op": one.op, "title": one.title, "digest": _digest(one, key)}


def stale(sealed: Mapping[str, Sealed], plans: Mapping[str, HostPlan]) -> list[str]:
    """What is otherwise now than it was looked at; empty where all is the same."""
    found = [f"{host} is not in the plan" for host in plans if host not in sealed]
    found += [f"{host} is in the plan, and not here" for host in sealed if host not in plans]
    for host, plan in plans.items():
        if host in sealed:
            found += [f"{host}: {what}" for what in _differs(sealed[host], seal(plan))]
    return found


def _differs(then: Sealed, now: Sealed) -> Iterator[str]:
    """The cause before what follows from it."""
    if then["current"] != now["current"]:
        yield f"it serves {now['current'] or 'nothing'}, and served {then['current'] or 'nothing'}"
    elif then["release"] != now["release"]:
        yield f"the release would be {now['release']}, and was to be {then['release']}"
    elif then["operations"] != now["operations"]:
        yield from _operations_differ(then["operations"], now["operations"])
    elif then["premise"] != now["premise"] or then["unchanged"] != now["unchanged"]:
        yield "its releases or links have changed"


def _operations_differ(then: list[Sealed], now: list[Sealed]) -> Iterator[str]:
    before = {one["title"]: one for one in then}
    after = {one["title"]: one for one in now}
    yield from (
        f"{one['title']} is to be done too" for op, one in after.items() if op not in before
    )
    yield from (f"{one['title']} is done already" for op, one in before.items() if op not in after)
    for op, one in after.items():
        if op in before and one["digest"] != before[op]["digest"]:
            yield f"{one['title']} would be another"


def _digest(step: Step, key: str) -> str:
    text = json.dumps(revealed(_of_the_plan(step.args)), sort_keys=True)
    return names.keyed_digest(key, text)


def _of_the_plan(args: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _of_the_plan(value) if isinstance(value, Mapping) else value
        for name, value in args.items()
        if name not in _OF_THE_RUN
    }


def _key(plan: HostPlan) -> str:
    """The fleet's own, which stays on its hosts."""
    return next(
        (str(step.args["digest_key"]) for step in plan.prepare if step.op == "refresh"), _NO_KEY
    )
