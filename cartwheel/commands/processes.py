"""`fab ps` and `fab process.*`: the processes of the application, one by one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cartwheel.commands.ask import Answers, read
from cartwheel.commands.scene import Scene, connect, raise_failures
from cartwheel.errors import UsageError
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.sessions import successes
from cartwheel.host.wire.instance import WEB
from cartwheel.plan.processes import restart_seconds
from cartwheel.plan.switching import probe

if TYPE_CHECKING:
    from cartwheel.host.wire.processes import Handled, Processes
    from cartwheel.host.wire.request import Request

_MARGIN_SECONDS = 120.0


def list_all(scene: Scene) -> Answers[Processes]:
    """Every instance on each host."""
    from cartwheel.host.wire.processes import AskProcesses

    return read(scene, AskProcesses())


def checked(scene: Scene, task: str, found: tuple[str, ...]) -> tuple[str, ...]:
    """The names in `--name`. Raises UsageError if there is none, or if one is web."""
    if not found:
        raise UsageError("usage", f"process.{task} needs --name", hint=_hint(_of(scene)))
    if WEB in found:
        instead = scene.typed.command(task)
        raise UsageError(
            "usage", f"process.{task} is not for web", hint=f"`{instead}` is: with all of it."
        )
    return tuple(dict.fromkeys(found))


def stop(scene: Scene, names: tuple[str, ...]) -> Answers[Handled]:
    from cartwheel.host.wire.processes import StopProcesses

    return _handle(scene, names, StopProcesses(names))


def start(scene: Scene, names: tuple[str, ...]) -> Answers[Handled]:
    from cartwheel.host.wire.processes import StartProcesses

    return _handle(scene, names, StartProcesses(names, probe(scene.settings)))


def restart(scene: Scene, names: tuple[str, ...]) -> Answers[Handled]:
    from cartwheel.host.wire.processes import RestartProcesses

    return _handle(scene, names, RestartProcesses(names, probe(scene.settings)))


def _handle(scene: Scene, names: tuple[str, ...], asked: Request[Handled]) -> Answers[Handled]:
    """Lock every host, ask what each has, then let it do this within the time that its release
    says. Raises UsageError for a name that neither the settings nor a host know."""
    from cartwheel.host.wire.processes import AskProcesses

    with connect(scene, changing=True) as fleet:
        raise_failures(lock_all(fleet, scene.hosts, scene.terms))
        answers = fleet.ask(AskProcesses(), deadline_seconds=_MARGIN_SECONDS)
        raise_failures(answers)
        found = [one.known for one in successes(answers).values()]
        _refuse_unknown(names, {*_of(scene), *(name for known in found for name in known)})
        seconds = [
            restart_seconds({name: one for name, one in known.items() if name in names})
            for known in found
        ]
        return fleet.ask(asked, deadline_seconds=max(seconds) + _MARGIN_SECONDS)


def _refuse_unknown(names: tuple[str, ...], known: set[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), 1)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise UsageError("usage", f"there is no process {name}", hint=meant + _hint(known))


def _of(scene: Scene) -> set[str]:
    """The processes of the settings."""
    return set(scene.settings.processes) - {WEB}


def _hint(known: Iterable[str]) -> str:
    return f"Processes: {', '.join(sorted(known))}." if known else "There are no [processes]."
