"""`fab timer.*`, and what a timer's runs printed."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from cartwheel.commands.ask import Answers, read
from cartwheel.commands.scene import Scene, connect, raise_failures
from cartwheel.errors import HostError, UsageError
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.sessions import Fleet, successes
from cartwheel.host.wire.request import Done, Request
from cartwheel.host.wire.timer import (
    AskTimers,
    PauseTimer,
    ReadRun,
    ResumeTimer,
    Run,
    RunTimer,
    Timers,
)

_SMALL_SECONDS = 120.0
_NO_DEADLINE_SECONDS = 365 * 86400.0
OnLine = Callable[[str, str], None]


def listed(scene: Scene) -> Answers[Timers]:
    """The timers of each host."""
    return read(scene, AskTimers())


def checked_name(scene: Scene, name: str, option: str = "--name") -> str:
    """Raises UsageError for a timer that the settings do not have."""
    known = scene.settings.timers
    if name in known:
        return name
    close = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {close[0]}?" if close else f"Timers: {', '.join(known) or 'none'}."
    what = f"{option} {name}: there is no such timer" if name else f"{option} is missing"
    raise UsageError("usage", what, hint=hint)


def run(scene: Scene, name: str, on_line: OnLine, *, follow: bool) -> dict[str, Run]:
    """Start a timer's job on the hosts that have it; with `follow` wait for its end. Raises the
    hosts' failures."""
    with connect(scene, changing=False) as fleet:
        begun = fleet.ask(
            RunTimer(name), deadline_seconds=_SMALL_SECONDS, hosts=_having(fleet, name)
        )
        raise_failures(begun)
        if not follow:
            return successes(begun)
        numbers = {host: one.number for host, one in successes(begun).items()}
        return _outputs(fleet, numbers, name, on_line)


def output(
    scene: Scene, name: str, number: int | None, on_line: OnLine, *, follow: bool
) -> dict[str, Run]:
    """What a run of the timer printed, on the hosts that have it, or else on all that had it; None:
    the last one."""
    with connect(scene, changing=False) as fleet:
        hosts = _hosts_of(fleet, name) or list(scene.hosts)
        return _outputs(fleet, dict.fromkeys(hosts, number), name, on_line, follow=follow)


def _having(fleet: Fleet, name: str) -> list[str]:
    """The hosts that have the timer. Raises HostError("no-timer") if there is none."""
    hosts = _hosts_of(fleet, name)
    if not hosts:
        every = fleet.standing
        here = "these hosts" if len(every) > 1 else every[0]
        raise HostError("no-timer", f"the timer {name} is not on {here}")
    return hosts


def _hosts_of(fleet: Fleet, name: str) -> list[str]:
    answers = fleet.ask(AskTimers(), deadline_seconds=_SMALL_SECONDS)
    raise_failures(answers)
    return [
        host
        for host, one in successes(answers).items()
        if any(timer.name == name for timer in one.timers)
    ]


def _outputs(
    fleet: Fleet,
    numbers: dict[str, int | None] | dict[str, int],
    name: str,
    on_line: OnLine,
    *,
    follow: bool = True,
) -> dict[str, Run]:
    answers = fleet.each(
        lambda host, session: session.request(
            ReadRun(name, numbers[host], follow),
            deadline_seconds=_NO_DEADLINE_SECONDS,
            on_event=lambda event: on_line(host, event["detail"]),
        ),
        numbers,
    )
    raise_failures(answers)
    return successes(answers)


def pause(scene: Scene, name: str) -> Answers[Done]:
    """Pause the timer on the hosts that have it."""
    return _where_it_is(scene, name, PauseTimer(name))


def resume(scene: Scene, name: str) -> Answers[Done]:
    """Resume it."""
    return _where_it_is(scene, name, ResumeTimer(name))


def _where_it_is(scene: Scene, name: str, asked: Request[Done]) -> Answers[Done]:
    with connect(scene, changing=True) as fleet:
        raise_failures(lock_all(fleet, scene.hosts, scene.terms))
        return fleet.ask(asked, deadline_seconds=_SMALL_SECONDS, hosts=_having(fleet, name))
