"""`fab setup`: prepares bare hosts. Also installs Python on a host that has none."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cartwheel.build.index import access_for
from cartwheel.build.products import Platform
from cartwheel.build.publish.fleet_store import Item
from cartwheel.build.uv_wheel import UV_VERSION, uv_wheel
from cartwheel.commands import product
from cartwheel.commands.balancing import balancers, members_of
from cartwheel.commands.deploy import PROBE_SECONDS, asking_facts
from cartwheel.commands.rendering import host_files
from cartwheel.commands.scene import (
    Scene,
    connect,
    for_hosts,
    raise_failures,
    raise_held,
    refuse_unplaced,
    targets,
)
from cartwheel.commands.siblings import refuse_too_many, siblings
from cartwheel.commands.tls import Source, source_of
from cartwheel.errors import CartwheelError, HostError
from cartwheel.events import Event
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.sessions import Fleet, Result, failures, step_on_each, successes
from cartwheel.fleet.tls import change_tls
from cartwheel.host.web import certbot
from cartwheel.host.wire.balancer import PlaceSite
from cartwheel.host.wire.request import Done
from cartwheel.host.wire.setup import Changes, Setup
from cartwheel.plan.balancing import ON_HOSTS, balancer_site_changes, has_site, ways
from cartwheel.plan.host_plan import Tls
from cartwheel.plan.making import Delivery
from cartwheel.plan.making_steps import tool
from cartwheel.plan.step import Step
from cartwheel.plan.tls import plan_tls, tls_refusals
from cartwheel.render.balancer import (
    check_balancer_template,
    render_balancer,
    render_balancer_tls,
)
from cartwheel.settings import names
from cartwheel.settings.hosts import BALANCER_ROLE, Host

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import Facts
    from cartwheel.host.wire.tls import End
    from cartwheel.ssh.session import OnEvent, Session

_SETUP_SECONDS = 1800.0
_SITE_SECONDS = 120.0
_BOOTSTRAP_SECONDS = 900.0


def setup(scene: Scene) -> dict[str, Result[Changes]]:
    """Prepare every host; the changes, or the failure, by host. Balancers are first, and end
    before the other hosts begin: no run waits for a lock while it holds one of the other kind."""
    refuse_unplaced(scene)
    before = tuple(host for host in scene.chosen if _is_balancer(scene, host))
    source = None
    if before:
        balancers(scene)  # refuses what cannot be one
        refuse_too_many(scene)
        check_balancer_template(scene.settings, scene.project)
        source = source_of(scene, "balancer")
    for host in without_python(scene):
        bootstrap(scene, host)
    found: dict[str, Result[Changes]] = {}
    behind = tuple(host for host in scene.chosen if host not in before)
    if before:
        found |= _set_up_balancers(replace(scene, chosen=before), source)
    if behind:
        found |= _set_up(replace(scene, chosen=behind))
    return {host: found[host] for host in scene.hosts}


def _is_balancer(scene: Scene, host: Host) -> bool:
    return scene.settings.balancer.kind in ON_HOSTS and BALANCER_ROLE in host.roles


def _set_up(scene: Scene) -> dict[str, Result[Changes]]:
    with connect(scene, changing=False) as fleet:
        raise_failures(lock_all(fleet, scene.hosts, scene.terms))
        bringing = _uv_steps(scene, fleet)
        asked = {host: _step(scene, host) for host in fleet.standing}
        done = step_on_each(fleet, asked)
        wanting = {host: bringing[host] for host in successes(done) if host in bringing}
        brought = step_on_each(fleet, wanting)
        uv = dict.fromkeys(successes(brought), Changes((f"uv {UV_VERSION}",)))
        return _joined(done, {**failures(brought), **uv})


def _step(scene: Scene, host: str) -> Step[Changes]:
    """Prepare a host for what it runs: without web it needs no web server, and no certificate."""
    has_web, request = scene.assigned(host).has_web, _request(scene)
    needed = _needed_for_tls(scene, "app") if has_web else ()
    request = replace(request, web_server=has_web, packages=(*request.packages, *needed))
    return Step("setup", _SETUP_SECONDS, request)


def _needed_for_tls(scene: Scene, end: End) -> tuple[str, ...]:
    tls = scene.settings.tls
    return certbot.PACKAGES if tls.acme and scene.settings.tls_end == end else ()


def _uv_steps(scene: Scene, fleet: Fleet) -> dict[str, Step[Done]]:
    """If uv is the installer: the steps that install it on hosts that lack it. uv is downloaded
    before anything changes. Raises BuildError."""
    if scene.settings.deploy.installer != "uv":
        return {}
    answers = fleet.ask(asking_facts(scene), deadline_seconds=PROBE_SECONDS)
    raise_failures(answers)
    password, store = product.index_password(scene), product.artifact_store(scene)
    access = access_for(scene.settings.index, password)

    @functools.cache
    def step(machine: Platform) -> Step[Done]:
        wheel, sha256 = uv_wheel(machine, scene.state, scene.emit, access=access)
        item = Item("uv", UV_VERSION, wheel, sha256)
        source = product.publish_item(scene, store, item) if store else None
        path = wheel if source is None else None
        uv = Delivery("uv", UV_VERSION, wheel.name, sha256, path, source)
        return tool(uv)

    found: dict[str, Step[Done]] = {}
    for host, facts in successes(answers).items():
        if facts.uv is None or facts.uv.version != UV_VERSION:
            try:
                found[host] = step(product.platform_of(facts))
            except CartwheelError as error:
                error.host = error.host or host
                raise
    return found


def _joined(
    done: dict[str, Result[Changes]], more: Mapping[str, Result[Changes]]
) -> dict[str, Result[Changes]]:
    """The changes of setup, and of what came after it."""
    known = successes(done)
    both = {
        host: Changes((*known[host].changes, *one.changes)) for host, one in successes(more).items()
    }
    return {**done, **failures(more), **both}


def _set_up_balancers(scene: Scene, source: Source) -> dict[str, Result[Changes]]:
    """What recovers there, and where it is a web server the site with all hosts behind it, and then
    its HTTPS."""
    scene = replace(scene, settings=names.for_balancer(scene.settings))
    balancer = scene.settings.balancer
    request = replace(
        _request(scene),
        python="3",
        packages=_needed_for_tls(scene, "balancer"),
        web_server=has_site(scene.settings),
        balancer=True,
        listen=balancer.listen,
    )
    with connect(scene, changing=False) as fleet:
        raise_failures(lock_all(fleet, scene.hosts, scene.terms))
        done = fleet.ask(request, deadline_seconds=_SETUP_SECONDS)
        if not has_site(scene.settings):
            return done
        beside = siblings(scene)
        placed = fleet.each(
            lambda host, one: _place_site(scene, one, fleet.listener(host), beside.get(host, ())),
            successes(done),
        )
    secured = _secure(for_hosts(scene, tuple(successes(placed))), source)
    return _joined(_joined(done, placed), secured)


def _place_site(
    scene: Scene, session: Session, listen: OnEvent, siblings: Sequence[str]
) -> Changes:
    settings, members = scene.settings, members_of(scene)
    facts = session.request(asking_facts(scene), deadline_seconds=PROBE_SECONDS)
    for refusal in tls_refusals(settings, facts, end="balancer"):
        raise HostError(refusal.slug, refusal.message)
    site = render_balancer(
        settings,
        list(members.values()),
        scene.project,
        ipv6=facts.host.ipv6,
        siblings=siblings,
    )
    asked = PlaceSite(
        ways=ways(settings, members.values()),
        site_changes=balancer_site_changes(settings, facts, site.content),
        server_names=settings.web.names,
    )
    return session.request(asked, deadline_seconds=_SITE_SECONDS, on_event=listen)


def _secure(scene: Scene, source: Source) -> dict[str, Result[Changes]]:
    """HTTPS on balancers, whose sites are there: begin, change or end it. A session that changes
    hosts, so a balancer whose session is killed goes back by itself."""
    if not scene.chosen:
        return {}
    with connect(scene, changing=True) as fleet:
        raise_failures(lock_all(fleet, scene.hosts, scene.terms))
        facts = fleet.ask(asking_facts(scene), deadline_seconds=PROBE_SECONDS)
        plans = {host: _plan_tls(scene, known, source) for host, known in successes(facts).items()}
        done = change_tls(fleet, plans)
    said = {host: f"tls: {plan.what}" for host, plan in plans.items() if plan is not None}
    return {**failures(facts), **failures(done), **_said(said, successes(done))}


def _said(said: Mapping[str, str], done: Mapping[str, Done]) -> dict[str, Result[Changes]]:
    return {host: Changes((said[host],)) for host in done}


def _plan_tls(scene: Scene, facts: Facts, source: Source) -> Tls | None:
    settings = scene.settings
    site = render_balancer_tls(settings, facts, scene.project)
    return plan_tls(settings, facts, site, source, has_web=True, end="balancer")


def _request(scene: Scene) -> Setup:
    """The request that prepares a host that runs the app."""
    return Setup(
        user=names.user(scene.settings),
        group=names.group(scene.settings),
        python=scene.settings.app.python,
        packages=scene.settings.host.packages,
        web_server=True,
        kind=scene.settings.web.server,
        balancer=False,
        listen=scene.settings.web.listen,
        host_files=host_files(scene),
    )


def without_python(scene: Scene) -> list[str]:
    """The hosts where the host side cannot start because Python is missing.

    Raises other failures of hosts, and HostError("held") if one is frozen: a fleet is refused
    before its first host is changed.
    """
    with connect(scene, changing=False) as fleet:
        answers = fleet.ask(asking_facts(scene), deadline_seconds=PROBE_SECONDS)
    known = scene.settings.ssh.python == "python3"  # another path is the user's own
    missing = [
        host
        for host, answer in answers.items()
        if known and isinstance(answer, CartwheelError) and answer.slug == "no-python"
    ]
    raise_failures({host: one for host, one in answers.items() if host not in missing})
    raise_held({host: one.app.freeze for host, one in successes(answers).items()})
    return missing


def bootstrap(scene: Scene, host: str) -> None:
    """Install Python over plain ssh: the only thing that is done without the host side.
    Raises HostError: "packages", "package-manager"."""
    from cartwheel.host.packages.kinds import NONE_STATUS, python_script
    from cartwheel.ssh.connection import Gateways, StrictConnection
    from cartwheel.ssh.execute import run_script

    connection = StrictConnection(targets(scene)[host], Gateways())
    try:
        done = run_script(
            connection,
            python_script().encode(),
            on_line=lambda line: scene.emit(Event("python", "progress", line, host)),
            deadline_seconds=_BOOTSTRAP_SECONDS,
        )
    finally:
        connection.close()
    if done.status == NONE_STATUS:
        raise HostError("package-manager", done.tail.strip(), host=host)
    if done.status != 0:
        raise HostError("packages", "Python could not be installed", host=host, detail=done.tail)
    scene.emit(Event("python", "changed", "installed Python", host))
