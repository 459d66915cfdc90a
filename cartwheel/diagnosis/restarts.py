"""Restarts by somebody else than Cartwheel."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis import telling
from cartwheel.diagnosis.cause import SOON, STOPS, Case, Cause


def causes(case: Case) -> Iterator[Cause]:
    """Instances that somebody stopped; if they are still down, that is the cause."""
    changes = [one for one in case.found.changes if one.kind == "restart" and "hand" in one.detail]
    for sign in case.signs("unit-stopped"):
        own = [one for one in changes if one.detail.startswith(f"{sign.about}:")]
        who = next((one.who for one in reversed(own) if one.who), "")
        by = f", by {who}" if who else ""
        is_down = not any(
            one.process.split()[0] == sign.about and one.active == "active"
            for one in case.found.uses
        )
        yield Cause(
            "restarts",
            f"somebody stopped {sign.about} without Cartwheel{by}, and it is down"
            if is_down
            else f"somebody restarted {sign.about} without Cartwheel"
            f" {telling.times(sign.count)}{by}",
            f"`fab start -H {case.host}`" if is_down else f"use `fab restart -H {case.host}`",
            STOPS if is_down else SOON,
            telling.lines([sign]),
            sign.first,
            None if is_down else sign.last,
            frozenset({"app-ill", "front-door-ill", "process-ill", "answers-5xx"}),
        )
