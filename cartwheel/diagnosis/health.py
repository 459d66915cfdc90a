"""What `fab status` and `fab doctor` complain about is a cause too: their checks are shared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from cartwheel.diagnosis.cause import GUESSED, SOON, STOPS, SYMPTOM, Case, Cause
from cartwheel.plan.condition import Finding, conditions

APP = "app-ill"
"""The app gives no good answer: something makes it so."""
FRONT = "front-door-ill"
"""There is no good answer through the web server."""
PROCESS = "process-ill"
"""A process besides web does not run, or not for long."""

# As the host begins the text of such a leftover.
_HALF = "half release: "
_SYMPTOMS = {"app": APP, "front door": FRONT}
# Notes that say why a host is not as somebody expects it.
_NOTES = ("freeze", "switch", "maintenance")


def causes(case: Case) -> Iterator[Cause]:
    """Every problem of the host's status."""
    host, status = case.host, case.found.status
    has_web = status.serving is not None or status.assigned.has_web
    processes = {one.process for one in status.processes}
    for one in conditions(host, status, has_web=has_web):
        slug = _SYMPTOMS.get(one.what, PROCESS if one.what in processes else "")
        if one.what == "disk" and case.found.storage:
            continue  # `storage` says more about it
        if one.level == "PROBLEM":
            yield _problem(one, slug)
        elif one.level == "note" and one.what in _NOTES:
            yield Cause(one.what, one.detail, one.todo, SOON)
    if not status.lock:
        yield from _cut_off(case)


def _cut_off(case: Case) -> Iterator[Cause]:
    """A deploy that ended in the middle; while a lock is held, it may still be under way."""
    status, finishes = case.found.status, f"`fab deploy -H {case.host}` finishes it"
    halves = [text for text in status.leftovers if text.startswith(_HALF)]
    if status.cut_off:
        title = f"the last deploy, of {status.cut_off}, was interrupted"
        yield Cause("cut-off", title, finishes, SOON)
    elif halves:
        named = ", ".join(PurePosixPath(text.removeprefix(_HALF)).name for text in halves)
        yield Cause(
            "cut-off",
            f"a deploy of {named} was cut off before the release was complete",
            f"{finishes}; `fab doctor --fix -H {case.host}` removes what it left",
            SOON,
            status.leftovers,
        )


def _problem(one: Finding, symptom: str) -> Cause:
    if symptom:
        weight = SYMPTOM + 10 if one.serving else SYMPTOM
        return Cause(symptom, one.detail, one.todo, weight)
    weight = STOPS if one.serving else GUESSED
    explains = frozenset({APP, FRONT}) if one.serving else frozenset[str]()
    return Cause(one.what.replace(" ", "-"), one.detail, one.todo, weight, explains=explains)
