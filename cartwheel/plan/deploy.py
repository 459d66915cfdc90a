"""From settings, facts and what was built to the steps of a deploy on one host."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cartwheel.build.model import Artifact, Lock, Source
from cartwheel.hidden import Hidden, revealed
from cartwheel.plan import names
from cartwheel.plan.hooks import hooks_for
from cartwheel.plan.model import HostPlan, Operator, Refusal, Step
from cartwheel.settings.model import Settings
from cartwheel.settings.patterns import toml_list

Facts = Mapping[str, Any]

_SMALL_SECONDS = 60.0
_ROLLBACK_PROBATION_SECONDS = 0.5  # it has served before, and whoever goes back is in a hurry
_UPLOAD_SECONDS = 600.0
_FINISH_MARGIN_SECONDS = 60.0

# A small virtual environment with its bytecode takes some 30 MB.
MIN_FREE_BYTES = 64 << 20
MIN_FREE_INODES = 5000  # a Flask venv with its bytecode is about 1500


@dataclass(frozen=True)
class Rendered:
    """What the templates make for one host: the release's own files, by name, and the site."""

    files: Mapping[str, str]
    site: str
    host_files: Mapping[str, str]  # path -> text: boot unit, log rotation


@dataclass(frozen=True)
class Ingredients:
    """Everything that goes into a release, the host aside."""

    artifact: Artifact
    lock: Lock
    pip_wheel: Path
    pip_version: str
    pip_sha256: str
    environment: Mapping[str, Hidden]
    sources: Mapping[str, str]  # where each variable comes from, for `env.list`
    index_environment: Mapping[str, Hidden]
    operator: Operator
    digest_key: str = field(repr=False)
    sample_files: Mapping[str, str]  # the release's files as rendered for any one host
    created: str  # for people only; order is the journal's sequence
    published: Mapping[str, Source] = field(default_factory=dict, repr=False)  # by SHA-256


def plan_deploy(
    settings: Settings,
    facts: Facts,
    have: Ingredients,
    render: Callable[[str], Rendered],
) -> HostPlan:
    """Decide what a deploy does on this host. Refusals are collected, not raised."""
    reasons = (*refusals(settings, facts), *_left_out(settings, facts, have.artifact))
    if any(reason.slug in _BLIND for reason in reasons):
        return _refused(facts, have, reasons)
    content = names.release_name(have.artifact.version, _content(settings, facts, have))
    found = known_release(facts, content)
    release = found or names.unspoilt(content, facts["app"]["spoilt"])
    rendered = render(release)
    changes = site_changes(settings, facts, rendered.site)
    serves = facts["app"]["current"] == release and facts["app"]["is_up"]
    unchanged = bool(serves and not changes and not facts["app"]["pending"])
    return HostPlan(
        release=release,
        version=have.artifact.version,
        current=facts["app"]["current"],
        unchanged=unchanged,
        fresh=found is None,
        prepare=_prepare(settings, facts, have, rendered, content, release, changes),
        switch=switch_step(
            settings,
            kind="restart" if facts["app"]["current"] == release else "deploy",
            release=release,
            version=have.artifact.version,
            fresh=found is None,
            changes=changes,
            operator=have.operator,
        ),
        migrate=_migration(settings, facts, have, content, release),
        hooks=() if unchanged else hooks_for(settings, "deploy"),
        notes=_notes(facts, changes, content, release),
        refusals=reasons,
        premise=facts["app"]["premise"],
        seq=facts["app"]["seq"],
    )


def known_release(facts: Facts, content: str) -> str | None:
    """The release on this host that has this content and is whole: the one that serves, if it is
    one of them, or else the newest."""
    app = facts["app"]
    found: list[str] = [
        manifest["release"]
        for manifest in app["releases"]
        if manifest.get("content", manifest["release"]) == content
        and manifest["release"] not in app["spoilt"]
    ]
    if app["current"] in found:
        return str(app["current"])
    return found[-1] if found else None


# Without these facts the rest of the plan cannot be made.
_BLIND = frozenset(("not-set-up", "python-version", "no-systemd"))


def _refused(facts: Facts, have: Ingredients, reasons: tuple[Refusal, ...]) -> HostPlan:
    nothing = Step("switch", "switch", _SMALL_SECONDS)
    return HostPlan(
        release="",
        version=have.artifact.version,
        current=facts["app"]["current"],
        unchanged=False,
        fresh=False,
        prepare=(),
        switch=nothing,
        refusals=reasons,
    )


def refusals(settings: Settings, facts: Facts) -> tuple[Refusal, ...]:
    """Why this host cannot take a release now; every reason at once."""
    return (*_host_refusals(settings, facts), *_site_refusals(settings, facts))


def _host_refusals(settings: Settings, facts: Facts) -> tuple[Refusal, ...]:
    found: list[Refusal] = []
    app, base = facts["app"], settings.host.base
    if facts["host"]["systemd"] is None:
        found.append(Refusal("no-systemd", "systemd is not this host's init"))
    if app["record"] is None:
        found.append(Refusal("not-set-up", f"the host is not set up for {settings.slug}"))
    elif facts["nginx"]["version"] is None:
        found.append(Refusal("not-set-up", "the host has no nginx"))
    if facts["python"] is None:
        why = f": {facts['no_python']}" if facts["no_python"] else ""
        found.append(Refusal("python-version", f"there is no Python {settings.app.python}{why}"))
    elif facts["python"]["obstacle"]:
        who = names.user(settings)
        found.append(
            Refusal("python-reach", f"{who} cannot run Python: {facts['python']['obstacle']}")
        )
    if app["freeze"]:
        found.append(held_refusal(app["freeze"]))
    if app["stopped"]:
        found.append(stopped_refusal(app["stopped"]))
    disk = facts["disk"][base]
    if disk["free_bytes"] < MIN_FREE_BYTES:
        found.append(Refusal("disk-full", f"{base} has {disk['free_bytes'] >> 20} MB left"))
    if disk["free_inodes"] < MIN_FREE_INODES:
        found.append(Refusal("disk-full", f"{base} has {disk['free_inodes']} inodes left"))
    holder = facts["ports"].get(str(settings.web.listen))
    if holder not in (None, "nginx"):
        found.append(Refusal("port-taken", f"port {settings.web.listen} is held by {holder}"))
    return tuple(found)


def _left_out(settings: Settings, facts: Facts, artifact: Artifact) -> tuple[Refusal, ...]:
    """What the serving release carries and the new one would not, though it is still there."""
    missed = [
        name
        for name in artifact.left_out
        if any(_is_in(name, one) for one in facts["app"]["carried"])
    ]
    if not missed:
        return ()
    include = toml_list((*settings.app.include, *missed))
    exclude = toml_list((*settings.app.exclude, *missed))
    return (
        Refusal(
            "left-out",
            f"the serving release carries {', '.join(missed)}, and the new one would not: "
            f"app.include = {include} carries it on, app.exclude = {exclude} goes without it",
        ),
    )


def _is_in(name: str, path: str) -> bool:
    """Whether `path` is this file, or in this folder (which has a slash at its end)."""
    return path.startswith(name) if name.endswith("/") else path == name


def stopped_refusal(mark: Mapping[str, Any]) -> Refusal:
    """`fab stop` left its mark: who, when and, where they said so, why."""
    why = f": {mark['message']}" if mark.get("message") else ""
    return Refusal("stopped", f"stopped by {mark['who']} since {mark['since']}{why}")


def held_refusal(mark: Mapping[str, Any]) -> Refusal:
    """`fab lock.hold` left its mark."""
    return Refusal("held", f"held by {mark['owner']} since {mark['since']} ({mark['message']})")


def _site_refusals(settings: Settings, facts: Facts) -> tuple[Refusal, ...]:
    """Names that another site has: nginx only warns, and serves whichever it read first."""
    others = [
        server
        for server in _other_servers(settings, facts)
        if settings.web.listen in server["ports"]
    ]
    found = [
        Refusal("server-name-taken", f"{server['file']} has the server name {name} already")
        for name in settings.web.server_names
        for server in others
        if name.lower() in server["names"]
    ]
    default = next(
        (server for server in others if settings.web.listen in server["default_ports"]), None
    )
    if not settings.web.server_names and default and default["file"] != names.DEFAULT_SITE:
        found.append(
            Refusal(
                "server-name-needed",
                f"web.server_names is empty, and {default['file']} is the default site already",
            )
        )
    return tuple(found)


def _other_servers(settings: Settings, facts: Facts) -> list[Mapping[str, Any]]:
    ours = names.site_path(settings)
    return [server for server in facts["nginx"]["servers"] if server["file"] != ours]


def takes_default_server(settings: Settings) -> bool:
    """An app without a name answers for every name; `_site_refusals` checks that it may."""
    return not settings.web.server_names


def site_changes(settings: Settings, facts: Facts, site: str) -> dict[str, str | None]:
    """Shared nginx files that must change: path -> text, or None for "goes away"."""
    import hashlib

    path = names.site_path(settings)
    changes: dict[str, str | None] = {}
    if facts["files"].get(path) != hashlib.sha256(site.encode()).hexdigest():
        changes[path] = site
    distribution = [
        server
        for server in _other_servers(settings, facts)
        if server["file"] == names.DEFAULT_SITE and settings.web.listen in server["ports"]
    ]
    if takes_default_server(settings) and distribution:
        changes[names.DEFAULT_SITE] = None
    return changes


def _content(settings: Settings, facts: Facts, have: Ingredients) -> list[str]:
    """All that makes one release differ from another; secrets by keyed digest only.

    What only follows from a host (its processors, a patch release of its Python) is left
    out: the same release has one name on all hosts of a kind.
    """
    minor = ".".join(facts["python"]["version"].split(".")[:2])
    return [
        have.artifact.wheel_sha256,
        have.lock.sha256,
        *(one.wheel_sha256 for one in have.lock.wheels),
        facts["python"]["path"],
        minor,
        settings.app.entry,
        json.dumps(dict(have.sample_files), sort_keys=True),
        names.keyed_digest(have.digest_key, json.dumps(revealed(have.environment), sort_keys=True)),
    ]


def _prepare(
    settings: Settings,
    facts: Facts,
    have: Ingredients,
    rendered: Rendered,
    content: str,
    release: str,
    changes: Mapping[str, str | None],
) -> tuple[Step, ...]:
    """The steps before the switch. None of them touches what serves."""
    common = {
        "app": settings.slug,
        "base": settings.host.base,
        "release": release,
        "user": names.user(settings),
    }
    refresh = Step(
        "refresh",
        "host side",
        _SMALL_SECONDS,
        {**common, "host_files": dict(rendered.host_files), "digest_key": have.digest_key},
    )
    if known_release(facts, content):
        return (refresh,)
    artifact, lock = have.artifact, have.lock
    packages = {
        "lock": lock.text,
        "lock_sha256": lock.sha256,
        "lock_beside": lock.text_beside,
        "wheel_sha256": artifact.wheel_sha256,
        "wheel_filename": artifact.wheel.name,
        "beside": [{"sha256": one.wheel_sha256, "filename": one.wheel.name} for one in lock.wheels],
        "pip_version": have.pip_version,
        "installer": settings.deploy.installer,
        "timeout_seconds": settings.deploy.install_timeout_seconds,
        "index_environment": dict(have.index_environment),
    }
    python = {"python": facts["python"]["path"], "python_version": facts["python"]["version"]}
    return (
        refresh,
        *_tool_step(facts, have, common),
        *_upload_steps(facts, have, common),
        Step("venv", "venv", _SMALL_SECONDS, {**common, **python}),
        Step(
            "install",
            "install",
            settings.deploy.install_timeout_seconds + _SMALL_SECONDS,
            {**common, **packages, **python},
        ),
        Step(
            "configure",
            "configure",
            _SMALL_SECONDS,
            {
                **common,
                "files": dict(rendered.files),
                "env": dict(have.environment),
                "digest": _configuration(have, rendered),
            },
        ),
        Step(
            "verify",
            "verify",
            settings.health.deadline_seconds + _SMALL_SECONDS,
            {
                **common,
                "entry": settings.app.entry,
                "static_dir": settings.web.static_dir,
                "pip_version": have.pip_version,
                "import_seconds": settings.health.deadline_seconds,
                "site_changes": dict(changes),
                "server_names": list(settings.web.server_names),
            },
        ),
        Step(
            "complete",
            "complete",
            _SMALL_SECONDS,
            {**common, "manifest": {**_manifest(settings, facts, have), "content": content}},
        ),
    )


def _migration(
    settings: Settings, facts: Facts, have: Ingredients, content: str, release: str
) -> Step | None:
    """What serves already has migrated, also where it is only made anew."""
    deploy = settings.deploy
    if deploy.migrate is None or facts["app"]["content"] == content:
        return None
    return Step(
        "migrate",
        "migrate",
        deploy.migrate_timeout_seconds + _SMALL_SECONDS,
        {
            "app": settings.slug,
            "base": settings.host.base,
            "release": release,
            "command": deploy.migrate,
            "timeout_seconds": deploy.migrate_timeout_seconds,
            "who": have.operator.who,
        },
    )


def _configuration(have: Ingredients, rendered: Rendered) -> str:
    """Whether the step has been done already for just these files and variables."""
    files = json.dumps(dict(rendered.files), sort_keys=True)
    variables = json.dumps(revealed(have.environment), sort_keys=True)
    return names.keyed_digest(have.digest_key, files + variables)


def _tool_step(facts: Facts, have: Ingredients, common: Mapping[str, Any]) -> tuple[Step, ...]:
    if have.pip_version in facts["tools"]["pip"]:
        return ()
    args = {
        **common,
        "version": have.pip_version,
        "sha256": have.pip_sha256,
        "filename": have.pip_wheel.name,
    }
    step = Step("tool", "pip", _UPLOAD_SECONDS, args)
    return (_bringing(step, have.pip_wheel, have.published.get(have.pip_sha256)),)


def _upload_steps(facts: Facts, have: Ingredients, common: Mapping[str, Any]) -> Iterator[Step]:
    """The application's wheel, and those of what lies beside it."""
    for artifact in (have.artifact, *have.lock.wheels):
        source = have.published.get(artifact.wheel_sha256)
        title = "upload" if source is None else "fetch"
        step = Step(
            "upload",
            title if artifact is have.artifact else f"{title} {artifact.name}",
            _UPLOAD_SECONDS,
            {**common, "sha256": artifact.wheel_sha256, "filename": artifact.wheel.name},
        )
        is_there = artifact.wheel_sha256 in facts["app"]["wheels"]
        yield step if is_there else _bringing(step, artifact.wheel, source)


def _bringing(step: Step, path: Path, source: Source | None) -> Step:
    """The step with its file: fetched by the host from the store, or else sent along."""
    if source is None:
        return replace(step, blob=path)
    return replace(step, args={**step.args, "source": source.args})


def _manifest(settings: Settings, facts: Facts, have: Ingredients) -> dict[str, Any]:
    return {
        "name": have.artifact.name,
        "version": have.artifact.version,
        "wheel_sha256": have.artifact.wheel_sha256,
        "lock_sha256": have.lock.sha256,
        "beside": {one.name: one.wheel_sha256 for one in have.lock.wheels},
        "closed": True,  # nobody but the app reads its code; earlier versions do not say
        "python": dict(facts["python"]),
        "entry": settings.app.entry,
        "probe": probe_args(settings),
        "created": have.created,
        "who": have.operator.who,
        "message": have.operator.message,
        "env": {
            name: {
                "source": have.sources.get(name, ""),
                "digest": names.keyed_digest(have.digest_key, value.reveal())[:16],
            }
            for name, value in have.environment.items()
        },
    }


def switch_step(
    settings: Settings,
    *,
    kind: str,
    release: str,
    version: str,
    fresh: bool,
    changes: Mapping[str, str | None],
    operator: Operator,
) -> Step:
    """The one step that moves traffic; also for rollback and restart."""
    deploy, health = settings.deploy, settings.health
    watched_seconds = deploy.probation_seconds
    if kind == "rollback":
        watched_seconds = min(watched_seconds, _ROLLBACK_PROBATION_SECONDS)
    seconds = health.deadline_seconds + deploy.probation_seconds + 2 * _SMALL_SECONDS
    seconds += deploy.drain_seconds  # where earlier instances have all slots of the release
    return Step(
        "switch",
        "switch",
        seconds,
        {
            "app": settings.slug,
            "base": settings.host.base,
            "kind": kind,
            "release": release,
            "version": version,
            "fresh": fresh,
            "site_changes": dict(changes),
            "listen": settings.web.listen,
            "static_dir": settings.web.static_dir,
            "probe": probe_args(settings),
            "probation_seconds": watched_seconds,
            "limits": {
                "max_error_percent": deploy.max_error_percent,
                "error_min_requests": deploy.error_min_requests,
                "max_worker_restarts": deploy.max_worker_restarts,
            },
            "confirm_seconds": deploy.confirm_seconds,
            "keep_releases": deploy.keep_releases,
            "who": operator.who,
            "message": operator.message,
        },
    )


def finish_seconds(settings: Settings) -> float:
    """How long draining, stopping and pruning may take."""
    return 2 * settings.deploy.drain_seconds + _FINISH_MARGIN_SECONDS


def probe_args(settings: Settings) -> dict[str, Any]:
    """How the host side asks the application (the fields of its health.Probe)."""
    health = settings.health
    plain = [name for name in settings.web.server_names if "*" not in name]
    return {
        "path": health.path,
        "host": health.host or (plain[0] if plain else "localhost"),
        "scheme": health.scheme,
        "status": health.status,
        "count": health.count,
        "span_seconds": health.span_seconds,
        "deadline_seconds": health.deadline_seconds,
        "timeout_seconds": health.timeout_seconds,
        # Left out where there is none: the `recover` of an earlier version does not know it.
        **({"also": list(health.also)} if health.also else {}),
    }


def status_args(settings: Settings) -> dict[str, Any]:
    """What the host side's `status` wants to know beside the application's name."""
    return {"probe": probe_args(settings), "listen": settings.web.listen}


def _notes(
    facts: Facts, changes: Mapping[str, str | None], content: str, release: str
) -> tuple[str, ...]:
    app = facts["app"]
    notes = [
        f"{name} is not whole ({what}): its content is made anew as {release}"
        for name, what in app["spoilt"].items()
        if name == content or name.startswith(content + "_")
    ]
    if changes:
        notes.append("nginx is reloaded: idle kept-alive connections may close")
    if app["leftovers"]:
        notes.append(f"leftovers to clean: {', '.join(app['leftovers'])}")
    return tuple(notes)
