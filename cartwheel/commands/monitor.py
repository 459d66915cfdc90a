"""`fab monitor.*`: a monitor on a host of the user's own, and what it says."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from cartwheel import __version__, places
from cartwheel.commands import ask, notifying
from cartwheel.commands.deploy import deploy
from cartwheel.commands.scene import Scene, connect, located, raise_failures, reach, targets
from cartwheel.commands.setup import setup
from cartwheel.commands.tls import roots_of
from cartwheel.decoded import Fields
from cartwheel.errors import CartwheelError, HostError, UsageError
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.report import Report
from cartwheel.fleet.sessions import Fleet, Result, failures, successes
from cartwheel.hidden import Hidden
from cartwheel.host.wire.monitors import AllowMonitor, AskMonitors, AskSshd, ForbidMonitor
from cartwheel.host.wire.request import Request
from cartwheel.host.wire.watch import PlaceWatchLists
from cartwheel.project.monitor_app import PROGRAM, ROLE, settings_for, sources
from cartwheel.project.watched import WatchedHost, watch_list
from cartwheel.settings.hosts import BALANCER_ROLE, Host
from cartwheel.ssh.known_hosts import known_entries
from cartwheel.telling import hosts_text

if TYPE_CHECKING:
    from cartwheel.ssh.target import Target

_SMALL_SECONDS = 120.0
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")  # RFC 6750
T = TypeVar("T")


@dataclass(frozen=True)
class Installed:
    """What `monitor.install` did. `report`: of the monitor's own deploy; `refused`: the hosts that
    do not let it look, and why; `tried`: what the monitor says of each other host, "" if it can
    look into it; `notes`: what it will not see there, or why sshd refuses it; `page`: the address
    of its page, None without one."""

    host: str
    report: Report
    refused: dict[str, CartwheelError]
    tried: dict[str, str]
    notes: dict[str, tuple[str, ...]]
    page: str | None


def install(scene: Scene) -> Installed:
    """Deploy the monitor, let it look into every host of the project, and tell it what to watch.
    Raises UsageError, and what keeps the monitor's own host from being deployed to."""
    messengers = notifying.addresses(scene)
    heartbeat = scene.secret(scene.settings.monitor.heartbeat, "monitor.heartbeat")
    roots = roots_of(scene.settings, scene.project)
    metrics = metrics_token(scene)
    own = monitor_scene(scene)
    watched = watched_hosts(scene)
    raise_failures(setup(own))
    report = deploy(own)
    name = own.hosts[0]
    if report.exit_code:
        return Installed(name, report, {}, {}, {}, None)
    public = str(_asked(own, "key").get("key", ""))
    asked = AllowMonitor(_key_name(scene, name), public, (), __version__)
    allowed = _on_each(scene, tuple(one.host for one in watched), asked)
    may = [one for one in watched if one.host.name in successes(allowed)]
    listed = watch_list(scene.settings, may, messengers, heartbeat, roots=roots, metrics=metrics)
    _place(own, {scene.settings.slug: listed})
    said = _asked(own, f"try --project {shlex.quote(scene.settings.slug)}")
    tried = {str(host): str(problem) for host, problem in said.items()}
    notes = {host: one.problems for host, one in successes(allowed).items() if one.problems}
    notes |= _why(scene, [one.host for one in watched if tried.get(one.host.name)], own)
    page = f"https://{scene.settings.monitor.page}" if scene.settings.monitor.page else None
    return Installed(name, report, failures(allowed), tried, notes, page)


def metrics_token(scene: Scene) -> Hidden | None:
    """The token of /metrics, None without one. Raises UsageError for one that can be guessed, or
    that no HTTP header can hold."""
    found = scene.secret(scene.settings.monitor.metrics, "monitor.metrics")
    if found is not None and not _TOKEN.fullmatch(found.reveal()):
        raise UsageError(
            "usage",
            "monitor.metrics is no bearer token: at least 16 letters, digits or any of -._~+/=",
            hint="`openssl rand -hex 32` makes one.",
        )
    return found


def _why(scene: Scene, hosts: list[Host], own: Scene) -> dict[str, tuple[str, ...]]:
    """Why sshd on these hosts may refuse the monitor's key, by its settings for that user."""
    if not hosts:
        return {}
    address = next(iter(located(own, own.chosen).values()))
    found = ask.read(replace(scene, chosen=tuple(hosts)), AskSshd(address))
    return {
        host: (*one.reasons, *one.settings) for host, one in successes(found).items() if one.reasons
    }


@dataclass(frozen=True)
class Uninstalled:
    """What `monitor.uninstall` did. `left`: the hosts that still let the monitor look, and why;
    `is_gone`: no project is watched any more, and the monitor was removed."""

    host: str
    left: dict[str, CartwheelError]
    is_gone: bool


def uninstall(scene: Scene) -> Uninstalled:
    """Watch this project no more: no host lets the monitor look for it, and its history goes. With
    the last project the monitor itself goes."""
    own = monitor_scene(scene)
    name = own.hosts[0]
    try:
        # Before the keys: a monitor that is refused tells people so.
        _place(own, {scene.settings.slug: None})
    except Exception:
        _forbid(scene, name)  # a monitor that is gone for good must not keep its keys
        raise
    left = _forbid(scene, name)
    others = _asked(own, "projects")
    if others.get("projects"):
        _asked(own, f"forget --project {shlex.quote(scene.settings.slug)}")
        return Uninstalled(name, left, is_gone=False)
    raise_failures(ask.uninstall(own, keep_shared=False, now=False))
    return Uninstalled(name, left, is_gone=True)


def status(scene: Scene) -> Fields:
    """What the monitor says of itself, and of what it watches for this project; `unwatched`: which
    hosts it does not watch. Raises CartwheelError."""
    found, slug = _asked(monitor_scene(scene), "status"), scene.settings.slug
    own = {
        key: [one for one in found.get(key, ()) if one.get("project") == slug]
        for key in ("targets", "open", "silences")
    }
    watched = found.get("hosts", {}).get(slug, [])
    by_project = found.get("project_problems", {})
    mine = by_project.get(slug, [])
    others = {text for texts in by_project.values() for text in texts if text not in mine}
    return {
        "format": found.get("format"),
        "time": found.get("time"),
        "problems": [text for text in found.get("problems", ()) if text not in others],
        "hosts": watched,
        "unwatched": [host.name for host in _to_watch(scene) if host.name not in watched],
        **own,
    }


def test(scene: Scene) -> Fields:
    """Let the monitor send a test message to each messenger; its problem, or "", by name."""
    return _asked(monitor_scene(scene), f"test --project {shlex.quote(scene.settings.slug)}")


def silence(scene: Scene, seconds: float, *, everything: bool) -> Fields:
    """Silence the monitor about this app, or about everything, for these seconds; 0 ends it."""
    words = ["silence", "--for", f"{seconds:.0f}", "--who", scene.operator.who]
    words += ["--why", scene.operator.message]
    words += [] if everything else ["--app", scene.settings.slug]
    return _asked(monitor_scene(scene), shlex.join(words))


def incidents(scene: Scene, number: int | None, most: int) -> Fields:
    """The last incidents, or one of them with all that is known."""
    words = ["incidents", "--project", scene.settings.slug]
    words += ["--last", str(most)] if number is None else ["--show", str(number)]
    return _asked(monitor_scene(scene), shlex.join(words))


def unwatched(scene: Scene) -> list[str]:
    """Which of these hosts the project's monitor does not watch; nothing where the inventory has no
    monitor, and about hosts that cannot say it."""
    if not any(ROLE in host.roles for host in scene.known):
        return []
    some = replace(scene, chosen=tuple(host for host in scene.chosen if ROLE not in host.roles))
    answers = ask.read(some, AskMonitors())
    mine = _key_name(scene, "")
    bare = [
        host
        for host, one in successes(answers).items()
        if not any(name.startswith(mine) for name in one.keys)
    ]
    return [f"{hosts_text(bare)}: not watched; `fab monitor.install` adds them"] if bare else []


def monitor_scene(scene: Scene) -> Scene:
    """The same run for the monitor as an application, on its host: the one of -H, or else the only
    host with the role `monitor`. Raises UsageError."""
    named = scene.chosen if scene.typed.hosts else ()
    found = named or tuple(host for host in scene.known if ROLE in host.roles)
    if len(found) != 1:
        which = "none was" if not found else f"{len(found)} hosts were"
        raise UsageError(
            "usage",
            f"the monitor is on one host, and {which} named",
            hint='Name it: `-H HOST`, or give one host of the inventory roles = ["monitor"].',
        )
    host = replace(found[0], roles=(ROLE,))
    settings = settings_for(scene.settings, sources(places.cache_dir()))
    return replace(scene, settings=settings, chosen=(host,), known=(host,), fleet=(host,))


def watched_hosts(scene: Scene) -> list[WatchedHost]:
    """The project's hosts, balancers too, with their keys. Raises UsageError for one that the
    monitor could not reach or recognize."""
    hosts = _to_watch(scene)
    if not hosts:
        raise UsageError(
            "usage",
            "there is no host to watch",
            hint="The hosts of the settings and inventories are watched, not those of -H.",
        )
    where = targets(replace(scene, chosen=hosts))
    return [_watched(scene, host, where[host.name]) for host in hosts]


def _to_watch(scene: Scene) -> tuple[Host, ...]:
    return tuple(
        host for host in scene.known if scene.runs_app(host) or BALANCER_ROLE in host.roles
    )


def _watched(scene: Scene, host: Host, target: Target) -> WatchedHost:
    keys = [one.key for one in known_entries(target) if not one.marker]
    if not keys:
        raise UsageError(
            "usage",
            f"{host.name}: its host key is not in known_hosts",
            hint=f"`fab hosts.trust -H {host.name}` shows it and keeps it.",
        )
    behind = target.gateway is not None or target.proxy_command is not None
    if behind and host.monitor_address is None:
        raise UsageError(
            "usage",
            f"{host.name} is reached through another host, and the monitor connects directly",
            hint=f"Set monitor_address in [inventory.hosts.{host.name}].",
        )
    lines = tuple(dict.fromkeys(f"{key.kind} {key.base64}" for key in keys))
    return WatchedHost(host, target.host, target.port, lines, scene.has_web(host))


def _forbid(scene: Scene, monitor: str) -> dict[str, CartwheelError]:
    asked = ForbidMonitor(_key_name(scene, monitor))
    return failures(_on_each(scene, _to_watch(scene), asked))


def _key_name(scene: Scene, monitor: str) -> str:
    """A host may be watched for several projects: each brings the key, and takes its own away."""
    return f"{scene.settings.slug}@{monitor}"


def _on_each(scene: Scene, hosts: tuple[Host, ...], asked: Request[T]) -> dict[str, Result[T]]:
    """Ask each host; no lock of an application is in the way."""
    sessions, problems = reach(replace(scene, chosen=hosts), changing=True, about_host=True)
    with Fleet(sessions, scene.emit, parallel=scene.parallel) as fleet:
        found = fleet.ask(asked, deadline_seconds=_SMALL_SECONDS)
    return {**problems, **found}


def _place(own: Scene, lists: Mapping[str, Hidden | None]) -> None:
    with connect(own, changing=True) as fleet:
        raise_failures(lock_all(fleet, own.hosts, own.terms))
        asked = PlaceWatchLists(dict(lists))
        raise_failures(fleet.ask(asked, deadline_seconds=_SMALL_SECONDS))


def _asked(own: Scene, words: str) -> Fields:
    """The answer of the monitor's program: JSON, from its first line `{` on. Raises
    HostError("monitor")."""
    lines = _said(own, words)
    try:
        begin = lines.index("{")
        found: Fields = json.loads("\n".join(lines[begin:]))
    except ValueError as error:
        text = "the monitor's answer is no JSON: is it of another version?"
        raise HostError("monitor", text, host=own.hosts[0]) from error
    return found


def _said(own: Scene, words: str) -> list[str]:
    """The lines that the monitor's program prints. Raises HostError("monitor")."""
    lines: list[str] = []
    found = ask.run_command(own, f"{PROGRAM} {words}", lambda _host, line: lines.append(line))
    one = found[own.hosts[0]]
    if isinstance(one, CartwheelError):
        raise one
    if one.status != 0:
        said = lines[-1] if lines else f"it ended with {one.status}"
        raise HostError("monitor", f"the monitor: {said}", host=own.hosts[0])
    return lines
