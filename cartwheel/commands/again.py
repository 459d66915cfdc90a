"""Hosts whose session was lost: look at them again once they have recovered, and deploy to those
that fell behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from cartwheel.commands.scene import Scene, connect, for_hosts
from cartwheel.errors import CartwheelError
from cartwheel.events import Event, silent
from cartwheel.fleet.report import Report
from cartwheel.fleet.sessions import Result, await_all
from cartwheel.fleet.truth import LookAgain, is_behind, overtaken
from cartwheel.plan.switching import asking_status

# After its lease a host may still have to start the old release, and drain and stop the new one.
_REVERT_SECONDS = 20.0
_PAUSE_SECONDS = 0.5
_REPORT_SECONDS = 5.0
_STATUS_SECONDS = 30.0
_MAX_LOOKING = 32
_STEP = "look again"

if TYPE_CHECKING:
    from cartwheel.host.wire.status import Status


def look_again(scene: Scene) -> LookAgain:
    """Returns a function that asks hosts, in parallel, for their `status` until each has settled,
    at the latest when its lease and its way back must be over; or the reason why it cannot."""

    def look(hosts: Iterable[str]) -> dict[str, Result[Status]]:
        end = time.monotonic() + scene.settings.deploy.lease_seconds + _REVERT_SECONDS
        with ThreadPoolExecutor(_MAX_LOOKING) as pool:
            futures = {host: pool.submit(_until_settled, scene, host, end) for host in hosts}
            await_all(futures.values())
        return {host: future.result() for host, future in futures.items()}

    return look


def forward(report: Report, scene: Scene, run: Callable[[Scene], Report]) -> Report:
    """If some hosts have confirmed, the fleet goes forward: reachable hosts that went back get the
    release again. The report contains their new results."""
    behind = tuple(one.host for one in report.hosts if is_behind(one, report))
    if not behind:
        return report
    scene.emit(Event(_STEP, "note", f"{', '.join(behind)} fell behind; deploying there again"))
    try:
        second = run(for_hosts(scene, behind))
    except (CartwheelError, ExceptionGroup):
        return report
    return overtaken(report, second)


def _until_settled(scene: Scene, host: str, end: float) -> Result[Status]:
    began = time.monotonic()
    reported = began
    scene.emit(
        Event(_STEP, "start", "the connection was lost; checking which release is live", host)
    )
    while True:
        answer = _ask(scene, host)
        settled = not isinstance(answer, CartwheelError) and _is_settled(answer)
        now = time.monotonic()
        if settled or now > end:
            what = _told(answer)
            scene.emit(Event(_STEP, "done" if settled else "failed", what, host, now - began))
            return answer
        if now - reported > _REPORT_SECONDS:
            reported = now
            scene.emit(Event(_STEP, "progress", _told(answer), host))
        time.sleep(_PAUSE_SECONDS)


def _ask(scene: Scene, host: str) -> Result[Status]:
    quiet = replace(for_hosts(scene, (host,)), emit=silent)
    try:
        with connect(quiet, changing=False) as fleet:
            return fleet.ask(asking_status(scene.settings), deadline_seconds=_STATUS_SECONDS)[host]
    except CartwheelError as error:
        return error


def _is_settled(status: Status) -> bool:
    """Whether nothing is pending and no session is running that may still switch or go back: a
    confirmed one only drains and prunes."""
    last = status.last
    finishing = last and (last.result, last.release) == ("confirmed", status.release)
    return not status.pending and (not status.lock or bool(finishing))


def _told(answer: Result[Status]) -> str:
    if isinstance(answer, CartwheelError):
        return answer.message
    if answer.pending:
        return f"it is going back from {answer.pending.to}"
    return f"{answer.release or 'nothing'} is live"
