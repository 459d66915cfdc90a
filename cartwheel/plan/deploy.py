"""Make the plan of a deploy on one host from settings, facts and the build; pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.build.products import Artifact, Lock
from cartwheel.hidden import Hidden
from cartwheel.host.wire.codec import to_json
from cartwheel.plan import holders, processes, web_server
from cartwheel.plan.app_server import server_refusals
from cartwheel.plan.holders import ALONE, Place
from cartwheel.plan.hooks import hooks_for
from cartwheel.plan.host_plan import Application, HostPlan, Migration, Operator, Restarting
from cartwheel.plan.maintenance import closed_text
from cartwheel.plan.making import Delivery, Making, Packages, Variable
from cartwheel.plan.processes import described, described_timers
from cartwheel.plan.refusals import BLINDING, left_out, refusals
from cartwheel.plan.serving import in_words, served_of, static_command
from cartwheel.plan.site import site_changes, site_removal
from cartwheel.plan.switching import probe, with_switch
from cartwheel.plan.tls import Brought, plan_tls, tls_notes
from cartwheel.plan.users import plan_users, users_notes
from cartwheel.settings import names, served
from cartwheel.settings.phases import Kind
from cartwheel.settings.toml_tables import Settings

if TYPE_CHECKING:
    from cartwheel.host.wire.assigned import Assigned
    from cartwheel.host.wire.download import Source
    from cartwheel.host.wire.facts import Facts, Interpreter
    from cartwheel.host.wire.making import PlacedFile
    from cartwheel.host.wire.tls import Order


@dataclass(frozen=True)
class Rendered:
    """Rendered templates for one host: the release's own files, by name, the site, and what it
    includes for HTTPS."""

    files: Mapping[str, str]
    site: str
    host_files: Mapping[str, str]  # path -> text: boot unit, log rotation
    tls: str = ""


@dataclass(frozen=True)
class Ingredients:
    """Everything that goes into a release, except what depends on the host."""

    artifact: Artifact
    lock: Lock
    pip_wheel: Path | None  # None if uv installs
    pip_version: str
    pip_sha256: str
    uv_version: str
    environment: Mapping[str, Hidden]
    sources: Mapping[str, str]  # the source of each variable, for `env.list`
    index_environment: Mapping[str, Hidden]
    operator: Operator
    digest_key: str = field(repr=False)
    sample_files: Mapping[str, str]  # the release's files, rendered independent of the host
    created: str  # for display only; the order is the journal's sequence
    published: Mapping[str, Source] = field(default_factory=dict, repr=False)  # by SHA-256
    placed: Mapping[str, PlacedFile] = field(default_factory=dict, repr=False)
    tls: Brought | Order | None = field(default=None, repr=False)
    tls_until: str = ""  # what must be true before the host may stop to serve HTTPS
    users: Mapping[str, Hidden] = field(default_factory=dict, repr=False)  # by path


def runs_here(settings: Settings, facts: Facts, place: Place) -> Assigned:
    """What the host is to run in its switch."""
    possible = processes.assigned(settings, place.roles, facts.host.cpus)
    return holders.here(possible, place.written, place.held)


def plan_deploy(
    settings: Settings,
    facts: Facts,
    have: Ingredients,
    render: Callable[[str], Rendered],
    place: Place = ALONE,
) -> HostPlan:
    """Decide what a deploy does on this host. Refusals are collected, not raised."""
    assigned = runs_here(settings, facts, place)
    reasons = (
        *refusals(settings, facts, has_web=assigned.has_web),
        *server_refusals(settings, facts, have.lock),
        *left_out(settings, facts, have.artifact),
    )
    plan = replace(
        nothing(settings, facts, have.operator, "deploy"),
        version=have.artifact.version,
        commit=have.artifact.commit,
        refusals=reasons,
        holders=assigned.holders,
    )
    python = facts.python
    if python is None or any(reason.slug in BLINDING for reason in reasons):
        return plan
    content = names.release_name(have.artifact.version, _content(settings, python, have))
    known = known_release(facts, content)
    release = known or names.unspoilt(content, facts.app.spoilt)
    is_live = release == facts.app.current
    setback = None if is_live else facts.app.setbacks.get(content)
    plan = replace(plan, release=release, setback=setback)
    if reasons:
        return plan
    rendered = render(release)
    site = changes_of_site(settings, facts, rendered.site, assigned)
    notes = [*_notes(facts, content, release), *processes.stopped_notes(facts, assigned)]
    notes += _web_notes(settings, facts, site) if assigned.has_web else ()
    notes += users_notes(settings) if assigned.has_web else ()
    notes += tls_notes(settings, facts, have.tls) if assigned.has_web else ()
    has_web, until = assigned.has_web, have.tls_until
    tls = plan_tls(settings, facts, rendered.tls, have.tls, has_web=has_web, until=until)
    users = plan_users(facts, have.users, have.digest_key, has_web=has_web)
    plan = replace(
        plan,
        notes=tuple(notes),
        tls=tls,
        users=users,
        digest_key=have.digest_key,
        server_names=settings.web.names,
    )
    was = facts.app.assigned
    is_same = (assigned.counts, assigned.timers) == (was.counts, was.timers)
    if _serves(facts, release) and is_same and not site:
        return plan
    kind: Kind = "restart" if plan.current == release else "deploy"
    here = {name: one for name, one in described(settings).items() if name in assigned.counts}
    plan = replace(
        plan,
        kind=kind,
        host_files=rendered.host_files,
        making=None if known else _making(settings, facts, python, have, rendered, content),
        migration=_migration(settings, facts, content),
        hooks=hooks_for(settings, "deploy"),
        serves=tuple(in_words(settings)) if assigned.has_web else (),
    )
    seconds = processes.switch_seconds(here, processes.stop_seconds(facts))
    return with_switch(plan, settings, site, seconds, assigned=assigned)


def nothing(settings: Settings, facts: Facts, operator: Operator, kind: Kind) -> HostPlan:
    """The plan that does nothing on this host, from which every plan starts."""
    app = facts.app
    live = processes.processes_of(facts, app.current)
    seconds = settings.health.deadline_seconds + processes.restart_seconds(live)
    return HostPlan(
        app=Application(settings.slug, names.user(settings)),
        operator=operator,
        kind=kind,
        release="",
        version="",
        current=app.current,
        premise=app.premise,
        seq=app.seq,
        restarting=Restarting(app.down, probe(settings), seconds),
    )


def known_release(facts: Facts, content: str) -> str | None:
    """The whole release on this host with this content: the live one, or else the newest."""
    app = facts.app
    found = [
        one.release
        for one in app.releases
        if one.content == content and one.release not in app.spoilt
    ]
    if app.current in found:
        return app.current
    return found[-1] if found else None


def _serves(facts: Facts, release: str) -> bool:
    app = facts.app
    return app.current == release and app.serving is not None and not app.pending


def changes_of_site(
    settings: Settings, facts: Facts, site: str, assigned: Assigned
) -> dict[str, str | None]:
    """The web server's files that must change for what the host runs."""
    if assigned.has_web:
        return site_changes(settings, facts, site)
    return site_removal(settings, facts)


def _content(settings: Settings, python: Interpreter, have: Ingredients) -> list[str]:
    """Everything that distinguishes releases; secrets only as keyed digests.

    What depends on the host (its processors, its Python's patch level) is left out: the same
    release has the same name on all hosts of a kind.
    """
    minor = ".".join(python.version.split(".")[:2])
    environment = json.dumps(to_json(dict(have.environment)), sort_keys=True)
    made = served.maker(settings)
    return [
        have.artifact.wheel_sha256,
        have.lock.sha256,
        *(wheel.wheel_sha256 for wheel in have.lock.wheels),
        python.path,
        minor,
        settings.app.entry,
        json.dumps(dict(have.sample_files), sort_keys=True),
        names.keyed_digest(have.digest_key, environment),
        *(f"{name} {_placed_digest(have, one)}" for name, one in sorted(have.placed.items())),
        *([f"static {made.command}"] if made else []),
        *(f"{name} {json.dumps(to_json(one))}" for name, one in described(settings).items()),
        *(f"{name} {json.dumps(to_json(one))}" for name, one in described_timers(settings).items()),
    ]


def _placed_digest(have: Ingredients, one: PlacedFile) -> str:
    return names.short_digest(have.digest_key, json.dumps(to_json(one)))


# -- a release that the host does not have


def _making(
    settings: Settings,
    facts: Facts,
    python: Interpreter,
    have: Ingredients,
    rendered: Rendered,
    content: str,
) -> Making:
    from cartwheel.host.wire.installing import Installing

    deploy = settings.deploy
    return Making(
        content=content,
        python=python,
        entry=settings.app.entry,
        served=served_of(settings),
        static=static_command(settings),
        server_names=settings.web.names,
        prefix=settings.web.prefix,
        import_seconds=settings.health.deadline_seconds,
        packages=Packages(
            have.artifact,
            have.lock,
            Installing(
                deploy.installer,
                have.pip_version,
                have.uv_version,
                names.user(settings),
                dict(have.index_environment),
            ),
            deploy.install_timeout_seconds,
        ),
        tool=_tool(facts, have),
        deliveries=tuple(_wheels(facts, have)),
        files=rendered.files,
        variables=dict(_variables(have)),
        created=have.created,
        folders=settings.hardening.folders,
        processes=described(settings),
        timers=described_timers(settings),
        placed=have.placed,
        placed_digests={name: _placed_digest(have, one) for name, one in have.placed.items()},
    )


def _tool(facts: Facts, have: Ingredients) -> Delivery | None:
    """pip, if the host lacks it; `fab setup` installs uv."""
    if have.pip_wheel is None or have.pip_version in facts.pips:
        return None
    pip = Delivery("pip", have.pip_version, have.pip_wheel.name, have.pip_sha256)
    return _brought(pip, have.pip_wheel, have)


def _wheels(facts: Facts, have: Ingredients) -> Iterator[Delivery]:
    """The application's wheel, and the wheels sent with it."""
    for artifact in (have.artifact, *have.lock.wheels):
        wheel = Delivery(
            artifact.name, artifact.version, artifact.wheel.name, artifact.wheel_sha256
        )
        is_there = artifact.wheel_sha256 in facts.app.wheels
        yield wheel if is_there else _brought(wheel, artifact.wheel, have)


def _brought(delivery: Delivery, path: Path, have: Ingredients) -> Delivery:
    """The wheel: the host downloads it from the store, or it is sent along."""
    source = have.published.get(delivery.sha256)
    return replace(delivery, path=path if source is None else None, source=source)


def _variables(have: Ingredients) -> Iterator[tuple[str, Variable]]:
    for name, value in have.environment.items():
        digest = names.short_digest(have.digest_key, value.reveal())
        yield name, Variable(value, have.sources.get(name, ""), digest)


def _migration(settings: Settings, facts: Facts, content: str) -> Migration | None:
    """The migration, unless the live release has the same content and so has migrated already."""
    deploy = settings.deploy
    if deploy.migrate is None or facts.app.content == content:
        return None
    return Migration(deploy.migrate, deploy.migrate_timeout_seconds)


def _notes(facts: Facts, content: str, release: str) -> Iterator[str]:
    app = facts.app
    for name, what in app.spoilt.items():
        if name == content or name.startswith(content + "_"):
            yield f"{name} is damaged ({what}): its content is made again as {release}"
    if app.maintenance:
        yield f"{closed_text(app.maintenance)}; `fab maintenance.off` opens the site"
    if app.leftovers:
        yield f"leftovers to clean: {', '.join(app.leftovers)}"


def _web_notes(settings: Settings, facts: Facts, site: Mapping[str, str | None]) -> Iterator[str]:
    web = names.web_server(settings).name
    if not web_server.is_up(settings, facts):
        yield f"{web} does not run ({facts.web.active}): this deploy starts it"
    elif site:
        yield f"{web} is reloaded: idle kept-alive connections may close"
        yield from web_server.capacity_notes(settings, facts)
    elif facts.web.complaint:
        yield f"{web_server.broken(facts.web)}; after a reboot it does not start"
    if not facts.web.shared:
        yield f"{web_server.shared_file(facts.web)} is written again"
    if facts.web.unit_file not in web_server.STARTS_AT_BOOT:
        yield f"{web} is {facts.web.unit_file}: it does not start at boot"
