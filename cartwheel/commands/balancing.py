"""The balancer of a run, from the settings: opened before anything is changed, closed last.

Also `fab balancer.*`: set it up, take hosts out and return them by hand.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace

from cartwheel import places
from cartwheel.balance import hosted
from cartwheel.balance.hooks import Hook, Hooked
from cartwheel.balance.hosted import Hosted
from cartwheel.balance.memory import Memory
from cartwheel.commands.rendering import host_files
from cartwheel.commands.scene import Scene, connect, located, raise_failures, reach
from cartwheel.errors import CartwheelError, UsageError
from cartwheel.events import Event
from cartwheel.fleet.balancer import Balancer, State, lacking
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.sessions import Fleet
from cartwheel.hidden import Hidden
from cartwheel.host.wire.balancer import By
from cartwheel.host.wire.setup import Refresh
from cartwheel.plan import balancing as plan
from cartwheel.plan.balancing import Member
from cartwheel.settings.hosts import BALANCER_ROLE, Host
from cartwheel.ssh.address import parse_address
from cartwheel.telling import leaves

_REFRESH_SECONDS = 60.0


def balancing(scene: Scene, by: By = "deploy") -> AbstractContextManager[Balancer | None]:
    """The balancer, ready and locked; None if the settings name none. Raises the reason why it
    cannot be used."""
    return _KINDS[scene.settings.balancer.kind](scene, by)


@contextmanager
def balancing_if_possible(scene: Scene) -> Iterator[Balancer | None]:
    """The balancer for a rollback, which a balancer that cannot be used must not block. Without
    it no request fails: the switch of a host fails none either."""
    with ExitStack() as stack:
        balancer = None
        try:
            balancer = stack.enter_context(balancing(scene))
        except (CartwheelError, ExceptionGroup) as error:
            first = next(leaves(error))
            scene.emit(Event("balancer", "note", f"continuing without the balancer: {first}"))
        yield balancer


@contextmanager
def _on_hosts(scene: Scene, by: By) -> Iterator[Balancer]:
    """nginx and HAProxy: sessions with the balancers. When a session ends, its balancer returns the
    hosts that were taken out for a deploy."""
    settings = scene.settings.balancer
    members = members_of(scene)
    ways = plan.ways(scene.settings, members.values())
    with connect(_only(scene, balancers(scene)), changing=True) as fleet:
        raise_failures(lock_all(fleet, fleet.sessions, scene.terms))
        refresh = Refresh(host_files(scene), Hidden(""), has_web=plan.has_site(scene.settings))
        raise_failures(fleet.ask(refresh, deadline_seconds=_REFRESH_SECONDS))
        yield Hosted(
            fleet,
            members,
            ways,
            hosted.look(fleet, members, ways),
            settings.drain_seconds,
            settings.timeout_seconds,
            by,
        )


@contextmanager
def _by_hook(scene: Scene, by: By) -> Iterator[Balancer]:
    """A command or a call from this machine; hosts that an earlier run left out return first."""
    found = _hooked(scene, by)
    with found.memory.held(scene.lock_wait_seconds):
        _raise_first(replace(found, by="deploy").close())
        try:
            yield found
        finally:
            if by == "deploy":
                found.close()


def _hooked(scene: Scene, by: By) -> Hooked:
    project = hashlib.sha256(str(scene.project.resolve()).encode()).hexdigest()[:10]
    memory = Memory(places.state_dir() / "balancer" / f"{scene.settings.slug}-{project}.json")
    hook = _HOOKS[scene.settings.balancer.kind](scene)
    return Hooked(hook, members_of(scene), memory, scene.settings.balancer.timeout_seconds, by)


def _command(scene: Scene) -> Hook:
    from cartwheel.balance.command import command_hook

    settings = scene.settings.balancer
    return command_hook(
        settings.command or "",
        scene.project,
        scene.settings.slug,
        settings.timeout_seconds,
        scene.emit,
    )


def _http(scene: Scene) -> Hook:
    from cartwheel.balance.http import http_hook

    settings = scene.settings.balancer
    return http_hook(
        settings, scene.settings.slug, scene.secret(settings.secret, "balancer.secret")
    )


_KINDS: Mapping[str, Callable[[Scene, By], AbstractContextManager[Balancer | None]]] = {
    "none": lambda _scene, _by: nullcontext(),
    "nginx": _on_hosts,
    "haproxy": _on_hosts,
    "command": _by_hook,
    "http": _by_hook,
}
_HOOKS: Mapping[str, Callable[[Scene], Hook]] = {"command": _command, "http": _http}


# -- the hosts behind a balancer, and its addresses


def balancers(scene: Scene) -> tuple[Host, ...]:
    """The hosts that the balancer runs on: none for one that is controlled by a hook. Raises
    UsageError("no-hosts") if there should be some, and UsageError("inventory") if one runs the app
    too: its lock is the app's, so a deploy to it would wait for itself."""
    kind = scene.settings.balancer.kind
    if kind not in plan.ON_HOSTS:
        return ()
    found = tuple(host for host in scene.known if BALANCER_ROLE in host.roles)
    if not found:
        raise UsageError(
            "no-hosts",
            f"balancer.kind is {kind}, and no host has the role {BALANCER_ROLE}",
            hint='Give one the role: roles = ["balancer"] in [inventory.hosts.NAME].',
        )
    for host in found:
        if scene.runs_app(host):
            raise UsageError(
                "inventory",
                f"{host.name} is a balancer, and also runs {scene.settings.slug}",
                hint="A balancer needs a host of its own: take one of its roles away.",
            )
    return found


def members_of(scene: Scene) -> dict[str, Member]:
    """The hosts behind the balancer, by their names in this run: all that run web. Raises
    UsageError("no-hosts") if there is none, ("inventory") for an unusable name or address."""
    behind = [host for host in scene.known if scene.has_web(host)]
    if not behind:
        raise UsageError("no-hosts", "no host of the inventory runs web behind the balancer")
    # With -H user@web1 the run's name for web1 differs from the inventory's.
    called = {parse_address(host.name).host: host.name for host in scene.chosen}
    where = located(scene, behind)
    members = [
        Member(
            called.get(host.name, host.name),
            host.balancer_name or host.name,
            inner_address(host, where[host.name], scene.settings.web.listen),
            host.weight,
        )
        for host in behind
    ]
    for member in members:
        if problem := plan.problem(scene.settings, member):
            raise UsageError("inventory", f"{member.name}: {problem}")
    return {member.name: member for member in members}


def inner_address(host: Host, found: str, port: int) -> str:
    """Where other hosts reach it, as HOST:PORT; `found` is its address for SSH."""
    at = parse_address(host.inner_address or found)
    return f"{f'[{at.host}]' if ':' in at.host else at.host}:{at.port or port}"


def addresses(scene: Scene) -> tuple[str, ...]:
    """The addresses that requests from the balancers come from, as the hosts see them. Balancers
    that the settings use no more may pass requests on until the names lead elsewhere."""
    if scene.settings.balancer.kind != "none":
        return _addresses(scene, balancers(scene))
    known: list[str] = []
    for host in scene.known:
        if BALANCER_ROLE in host.roles:
            with suppress(UsageError):  # nothing else needs them
                known += _addresses(scene, (host,))
    return tuple(dict.fromkeys(known))


def _addresses(scene: Scene, hosts: tuple[Host, ...]) -> tuple[str, ...]:
    where = located(scene, hosts)
    names = [parse_address(host.inner_address or where[host.name]).host for host in hosts]
    return tuple(dict.fromkeys(one for name in names for one in resolved(name)))


def resolved(name: str) -> list[str]:
    """The addresses of a name: web servers need addresses to decide which clients they trust, and
    do not start while a name has none."""
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(
            "inventory",
            f"the host {name} has no address: {error.strerror}",
            hint="Set inner_address in [inventory.hosts.NAME].",
        ) from error
    return sorted({str(one[4][0]) for one in found})


def _only(scene: Scene, hosts: tuple[Host, ...]) -> Scene:
    return replace(scene, chosen=hosts)


# -- by hand


def out(scene: Scene) -> dict[str, CartwheelError | None]:
    """Take the chosen hosts out until `back`; for each host its failure or None.

    Raises UsageError("balancer-empty") if no host would be left.
    """
    with _named(scene) as balancer:
        balancer.refuse([scene.hosts])
        failed = balancer.out(scene.hosts)
    return {host: failed.get(host) for host in scene.hosts}


def back(scene: Scene) -> dict[str, CartwheelError | None]:
    """Put the chosen hosts back, no matter who took them out; for each its failure or None."""
    with _named(scene) as balancer:
        failed = balancer.back(scene.hosts)
    return {host: failed.get(host) for host in scene.hosts}


@contextmanager
def _named(scene: Scene) -> Iterator[Balancer]:
    """The balancer, for a person. Raises UsageError("balancer") if there is none, or if it is not
    in front of a chosen host."""
    members = members_of(scene)
    for host in scene.hosts:
        if host not in members:
            raise UsageError("balancer", f"{host} is not a host of the inventory that runs web")
    with balancing(scene, "person") as balancer:
        if balancer is None:
            raise UsageError("balancer", "there is no balancer: balancer.kind is none")
        yield balancer


def states(scene: Scene) -> tuple[list[State], list[CartwheelError]]:
    """Which hosts are in or out, according to each balancer; and the problems: a balancer that
    does not answer or has no host in, and a host that its balancer does not know."""
    kind = scene.settings.balancer.kind
    if kind in _HOOKS:
        found = _hooked(scene, "person").states()
        return found, list(lacking(found))
    members = members_of(scene)
    if kind not in plan.ON_HOSTS:
        return [], []
    sessions, silent = reach(_only(scene, balancers(scene)), changing=False)
    with Fleet(sessions, scene.emit, parallel=scene.parallel) as fleet:
        ways = plan.ways(scene.settings, members.values())
        found, failed = hosted.look_at_each(fleet, members, ways)
    return found, [*silent.values(), *failed.values(), *lacking(found)]


def _raise_first(failed: Mapping[str, CartwheelError]) -> None:
    for error in failed.values():
        raise error
