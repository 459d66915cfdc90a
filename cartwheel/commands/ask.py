"""Read-only questions to all hosts, and small jobs that change something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from cartwheel.commands.scene import Scene, connect, raise_failures, raise_held, reach, targets
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.sessions import Fleet, Result, successes
from cartwheel.host.wire.locking import AskHolders, Freeze, Frozen, Holders, Locked, Unfreeze
from cartwheel.host.wire.request import Request
from cartwheel.plan.switching import asking_status, probe

if TYPE_CHECKING:
    from cartwheel.host.wire.history import History, Releases
    from cartwheel.host.wire.output import Ran, Variables
    from cartwheel.host.wire.running import Pruned, Served
    from cartwheel.host.wire.setup import Installed
    from cartwheel.host.wire.status import Status
    from cartwheel.host.wire.upkeep import Removed
    from cartwheel.host.wire.web import Empty

T = TypeVar("T")
U = TypeVar("U")
Answers: TypeAlias = dict[str, Result[T]]

_SMALL_SECONDS = 120.0
_PACKAGES_SECONDS = 1800.0
_NO_DEADLINE_SECONDS = 365 * 86400.0


def status(scene: Scene) -> Answers[Status]:
    """Each host's live release, since when, and its health."""
    return read(scene, asking_status(scene.settings))


def releases(scene: Scene) -> Answers[Releases]:
    from cartwheel.host.wire.history import AskReleases

    return read(scene, AskReleases())


def history(scene: Scene, lines: int) -> Answers[History]:
    from cartwheel.host.wire.history import AskHistory

    return read(scene, AskHistory(lines))


def variables(scene: Scene) -> Answers[Variables]:
    """Names and sources of the live release's variables, without values."""
    from cartwheel.host.wire.output import AskVariables

    return read(scene, AskVariables())


def web_test(scene: Scene, kind: str) -> Answers[Empty]:
    from cartwheel.host.wire.web import TestWebServer

    return read(scene, TestWebServer(kind))


def run_command(scene: Scene, command: str, on_line: Callable[[str, str], None]) -> Answers[Ran]:
    """Run a command in the live release's environment, on all hosts in parallel."""
    from cartwheel.host.wire.output import Run

    with connect(scene, changing=False) as fleet:
        return fleet.each(
            lambda host, session: session.request(
                Run(command),
                deadline_seconds=_NO_DEADLINE_SECONDS,
                on_event=lambda event: on_line(host, event["detail"]),
            )
        )


def shell(scene: Scene) -> int:
    """A terminal in the live release's environment, on the scene's only host; its exit status."""
    from cartwheel.ssh.connection import Gateways, StrictConnection
    from cartwheel.ssh.execute import interactive

    gateways = Gateways()
    connection = StrictConnection(targets(scene)[scene.hosts[0]], gateways)
    try:
        enter = f"/usr/local/lib/cartwheel/{scene.settings.slug}/enter"
        return interactive(connection, (enter,))
    finally:
        connection.close()
        gateways.close()


def stop(scene: Scene) -> Answers[Served]:
    from cartwheel.host.wire.running import Stop

    seconds = scene.settings.deploy.drain_seconds
    return change(scene, Stop(seconds), _SMALL_SECONDS + seconds)


def start(scene: Scene) -> Answers[Served]:
    from cartwheel.host.wire.running import Start

    seconds = _SMALL_SECONDS + scene.settings.health.deadline_seconds
    return change(scene, Start(probe(scene.settings)), seconds)


def prune(scene: Scene, keep_releases: int | None, *, cache: bool) -> Answers[Pruned]:
    from cartwheel.host.wire.running import Prune

    keep = scene.settings.deploy.keep_releases if keep_releases is None else keep_releases
    return change(scene, Prune(keep, cache))


def packages(scene: Scene) -> Answers[Installed]:
    from cartwheel.host.wire.setup import InstallPackages

    return change(scene, InstallPackages(scene.settings.host.packages), _PACKAGES_SECONDS)


def web_reload(scene: Scene, kind: str) -> Answers[Empty]:
    from cartwheel.host.wire.web import ReloadWebServer

    return change(scene, ReloadWebServer(kind))


def uninstall(scene: Scene, *, keep_shared: bool, now: bool) -> Answers[Removed]:
    """Wait for the last requests and jobs, or with `now` kill them."""
    from cartwheel.host.wire.upkeep import Uninstall

    asked = Uninstall(remove_shared=not keep_shared, now=now)
    return change(scene, asked, _NO_DEADLINE_SECONDS)  # the units have time limits of their own


def hold(scene: Scene) -> Answers[Frozen]:
    """Freeze every host, or none; the scene's message is the reason. Raises HostError("held")
    if another person has already frozen one."""
    return change(scene, Freeze(), about_freeze=True, check=_refuse_another)


def release(scene: Scene) -> Answers[Frozen]:
    """Lift the freeze, no matter who set it."""
    return change(scene, Unfreeze(), about_freeze=True)


def lock_status(scene: Scene) -> Answers[Holders]:
    """Who holds the kernel lock now, and who froze the application, since when and why."""
    return read(scene, AskHolders())


def _refuse_another(scene: Scene, locked: Mapping[str, Locked]) -> None:
    """Refuse before the first host is frozen."""
    wanted = (scene.operator.who, scene.operator.message)
    raise_held(
        {
            host: one.freeze
            for host, one in locked.items()
            if one.freeze is not None and (one.freeze.owner, one.freeze.message) != wanted
        }
    )


def read(scene: Scene, asked: Request[T]) -> Answers[T]:
    """Every host's answer, or why a host cannot be reached."""
    return taken(scene, asked, lambda _host, one: one)


def taken(scene: Scene, asked: Request[T], take: Callable[[str, T], U]) -> Answers[U]:
    """The same, with each answer as `take` makes it when it arrives."""
    return _of_all(scene, lambda fleet: fleet.taken(asked, take, deadline_seconds=_SMALL_SECONDS))


def _of_all(scene: Scene, ask: Callable[[Fleet], Answers[T]]) -> Answers[T]:
    sessions, problems = reach(scene, changing=False)
    with Fleet(sessions, scene.emit) as fleet:
        found = ask(fleet)
    return {host: problems[host] if host in problems else found[host] for host in scene.hosts}


def change(
    scene: Scene,
    asked: Request[T],
    seconds: float = _SMALL_SECONDS,
    *,
    about_freeze: bool = False,
    check: Callable[[Scene, Mapping[str, Locked]], None] = lambda _scene, _locked: None,
) -> Answers[T]:
    """Lock every host, `check` the answers to the locks, then ask. If the transient unit is
    killed, the programs that it has started end too."""
    terms = replace(scene.terms, about_freeze=about_freeze)
    with connect(scene, changing=True) as fleet:
        locked = lock_all(fleet, scene.hosts, terms)
        raise_failures(locked)
        check(scene, successes(locked))
        return fleet.ask(asked, deadline_seconds=seconds)
