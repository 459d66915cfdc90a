"""What `fab plan` prints for one host (docs/plan.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from cartwheel.decoded import Table
from cartwheel.plan.differences import NO_FILE
from cartwheel.plan.hooks import Hook
from cartwheel.plan.steps import in_order, titles
from cartwheel.telling import setback_text
from cartwheel.terminal.format import minute

if TYPE_CHECKING:
    from cartwheel.commands.plan import Planned
    from cartwheel.plan.differences import Changed, Differences, TimerChange
    from cartwheel.plan.host_plan import HostPlan
    from cartwheel.plan.processes import ProcessChange

_DIFF_HEAD = 3  # lines of a unified diff before its first hunk's own


def fields_of(host: str, planned: Planned) -> Table:
    """The whole plan, for programs."""
    plan = planned.plan
    return {
        "host": host,
        "current": plan.current,
        "release": plan.release,
        "version": plan.version,
        "unchanged": plan.unchanged,
        "steps": titles(plan),
        "tls": plan.tls.what if plan.tls else None,
        "users": plan.users.what if plan.users else None,
        "serves": list(plan.serves),
        "differences": asdict(planned.differences),
        "refusals": [asdict(refusal) for refusal in plan.refusals],
        "notes": _notes(plan),
    }


def lines_of(planned: Planned, last_seconds: float | None) -> Iterator[str]:
    """The plan for people: changes first, whole files last."""
    plan, differs = planned.plan, planned.differences
    yield _head(plan)
    yield from (f"  refused: {refusal.message}" for refusal in plan.refusals)
    yield from (f"  {line}" for line in _changes(differs, is_first=plan.current is None))
    if plan.tls is not None:
        yield f"  tls: {plan.tls.what}"
    if plan.users is not None:
        yield f"  {plan.users.what}"
    yield from (f"  {line}" for line in plan.serves)
    yield from (f"  {line}" for line in _work(plan))
    yield from (f"  note: {note}" for note in _notes(plan))
    if last_seconds is not None and plan.switch is not None:
        yield f"  the last deploy took {last_seconds:.1f} s"
    for diff in differs.diffs:
        yield from (f"  {line}" for line in _shown(diff.splitlines()))


def _notes(plan: HostPlan) -> list[str]:
    before = [setback_text(plan.release, plan.setback)] if plan.setback else []
    return [*before, *plan.notes]


def _head(plan: HostPlan) -> str:
    if plan.unchanged and plan.restarting and plan.restarting.down:
        return f"{plan.release}: starts {', '.join(plan.restarting.down)}, which should run"
    if plan.unchanged and plan.changes_host:
        what = " and ".join(_of_host(plan))
        return f"{plan.release}: stays, and {what}"
    if plan.unchanged:
        return f"{plan.release}: nothing to do"
    if plan.current == plan.release:
        return f"{plan.release}: started again"
    return f"{plan.current or 'nothing'} -> {plan.release or '?'}"


def _of_host(plan: HostPlan) -> Iterator[str]:
    if plan.changes_tls:
        yield "HTTPS changes"
    if plan.users is not None:
        yield "its users change"


def _changes(differs: Differences, *, is_first: bool) -> Iterator[str]:
    for what, changed in (
        ("package", differs.packages),
        ("setting", differs.settings),
        ("variable", differs.variables),
        ("file", differs.files),
    ):
        yield from _all_new(what, changed) if is_first else _marked(what, changed)
    if differs.python:
        yield f"python ~ {differs.python}"
    yield from map(_timer, differs.timers)
    of_others = {unit for one in differs.processes for unit in (*one.starts, *one.stops)}
    yield from (f"starts {unit}" for unit in differs.starts if unit not in of_others)
    yield from map(_starts, filter(lambda one: one.starts, differs.processes))
    yield from (f"stops {unit}" for unit in differs.stops if unit not in of_others)
    yield from map(_stops, filter(lambda one: one.stops, differs.processes))
    yield from (f"draining: {unit}" for unit in differs.draining)


def _starts(one: ProcessChange) -> str:
    if one.when == "beside" or not one.stops:
        return f"starts {_counted(one.process, one.starts)}"
    last = ", last of all" if one.when == "last" else ""
    return f"starts {_counted(one.process, one.starts)} once the old one has ended{last}"


def _stops(one: ProcessChange) -> str:
    what = "job" if len(one.stops) == 1 else "jobs"
    limit = f", {what}: {one.stop_seconds:g} s at most" if one.stop_seconds else ""
    return f"stops {_counted(one.process, one.stops)}{limit}"


def _counted(process: str, units: Sequence[str]) -> str:
    return f"{len(units)} {process}" if len(units) > 1 else process


def _timer(one: TimerChange) -> str:
    if not one.after:
        return f"timer - {one.name} {one.before}"
    following = f", next run {minute(one.following)}" if one.following else ""
    if not one.before:
        return f"timer + {one.name} {one.after}{following}"
    return f"timer ~ {one.name} {one.before} -> {one.after}{following}"


def _marked(what: str, changed: Changed) -> list[str]:
    return [f"{what} {text}" for text in changed.marked]


def _all_new(what: str, changed: Changed) -> list[str]:
    """All in one line, because nothing was there before."""
    return [f"{what}s: {', '.join(changed.added)}"] if changed.added else []


def _work(plan: HostPlan) -> Iterator[str]:
    """The steps in order, and the command of each hook among them."""
    work = in_order(plan)
    if work:
        yield f"steps: {', '.join(step.title for step in work)}"
    yield from (str(hook) for hook in work if isinstance(hook, Hook))


def _shown(diff: list[str]) -> list[str]:
    """Only the name of a file that is new or removed; the JSON has its content."""
    old, new = diff[0].removeprefix("--- "), diff[1].removeprefix("+++ ")
    lines = len(diff) - _DIFF_HEAD
    if old == NO_FILE:
        return [f"new file {new}, {lines} lines"]
    return [f"removes {old}, {lines} lines"] if new == NO_FILE else diff
