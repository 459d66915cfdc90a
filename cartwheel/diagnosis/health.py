"""What `fab status` and `fab doctor` complain about is a cause too: their checks are shared."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis.cause import GUESSED, SOON, STOPS, SYMPTOM, Case, Cause
from cartwheel.plan.condition import Finding, conditions

APP = "app-ill"
"""The app gives no good answer: something makes it so."""
FRONT = "front-door-ill"
"""There is no good answer through the web server."""
PROCESS = "process-ill"
"""A process besides web does not run, or not for long."""

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
    if status.cut_off and not status.lock:
        title = f"the last deploy, of {status.cut_off}, was interrupted"
        yield Cause("cut-off", title, f"`fab deploy -H {host}` finishes it", SOON)


def _problem(one: Finding, symptom: str) -> Cause:
    if symptom:
        weight = SYMPTOM + 10 if one.serving else SYMPTOM
        return Cause(symptom, one.detail, one.todo, weight)
    weight = STOPS if one.serving else GUESSED
    explains = frozenset({APP, FRONT}) if one.serving else frozenset[str]()
    return Cause(one.what.replace(" ", "-"), one.detail, one.todo, weight, explains=explains)
