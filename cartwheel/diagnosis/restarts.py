"""Restarts by somebody else than Cartwheel."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.diagnosis import followed, telling
from cartwheel.diagnosis.cause import GUESSED, SOON, STOPS, Case, Cause
from cartwheel.host.wire.instance import WEB

# Once or twice is somebody's try at something else.
_AGAIN = 3
# What visitors notice of a restart, and how long after it: until the app has started.
_NOTICED = ("web-no-socket", "web-refused", "web-cut", "web-no-upstream")
_SLACK_SECONDS, _STARTS_SECONDS = 15.0, 60.0
_FOLLOWS_WEB = followed.UPSTREAM | {"app-ill", "front-door-ill", "answers-5xx"}


def causes(case: Case) -> Iterator[Cause]:
    """Instances that somebody stopped; if they are still down, that is the cause."""
    changes = [one for one in case.found.changes if one.kind == "restart" and "hand" in one.detail]
    for sign in case.signs("unit-stopped"):
        own = [one for one in changes if one.detail.startswith(f"{sign.about}:")]
        who = next((one.who for one in reversed(own) if one.who), "")
        by = f", by {who}" if who else ""
        is_down = "active" not in _states(case, sign.about)
        again = sign.count >= _AGAIN
        begin, end = sign.first - _SLACK_SECONDS, sign.last + _STARTS_SECONDS
        noticed = any(one.first >= begin and one.last <= end for one in case.signs(*_NOTICED))
        of_web = sign.about == WEB
        yield Cause(
            "restarts",
            f"somebody stopped {sign.about} without Cartwheel{by}, and it is down"
            if is_down
            else f"somebody restarted {sign.about} without Cartwheel"
            f" {telling.times(sign.count)}{by}",
            f"`fab start -H {case.host}`" if is_down else f"use `fab restart -H {case.host}`",
            STOPS if is_down else GUESSED if again or (noticed and of_web) else SOON,
            telling.lines([sign]),
            sign.first,
            None if is_down else sign.last,
            _FOLLOWS_WEB if of_web else frozenset({"process-ill"}),
        )


def _states(case: Case, process: str) -> list[str]:
    """How its instances are, in systemd's words; where `uses` could not be had, by the status."""
    if case.found.uses:
        return [one.active for one in case.found.uses if one.process.split()[0] == process]
    status = case.found.status
    if process == WEB:
        return [status.serving.active] if status.serving else []
    return [one.active for one in status.processes if one.process == process]
