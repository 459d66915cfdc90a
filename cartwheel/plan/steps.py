"""From a plan to the requests that carry it out on its host: the one place that knows their names
and arguments. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from cartwheel import __version__
from cartwheel.hidden import revealed
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.request import Done, Request
from cartwheel.plan.hooks import Hook, moments, variables
from cartwheel.plan.host_plan import HostPlan, Migration
from cartwheel.settings import names

if TYPE_CHECKING:
    from cartwheel.host.wire.switching import Switched, WentBack
    from cartwheel.plan.making import Delivery, Making, Packages

Stage: TypeAlias = Literal["upload", "venv", "install", "configure"]
"""Where preparing may end early, by the task that asks for it."""

_SMALL_SECONDS = 60.0
_UPLOAD_SECONDS = 600.0
_HOOK_MARGIN_SECONDS = 30.0


A = TypeVar("A")


@dataclass(frozen=True)
class Step(Generic[A]):
    """One request to the host side. It may hold secrets, so it is never printed."""

    title: str
    deadline_seconds: float
    request: Request[A] = field(repr=False)
    blob: Path | None = None

    def digest(self, key: str) -> str:
        """Names what is asked for without letting anybody guess a secret in it."""
        return names.keyed_digest(key, json.dumps(to_json(self.request), sort_keys=True))


@dataclass(frozen=True)
class UntypedStep:
    """A step whose request and answer are no records yet."""

    op: str
    title: str
    deadline_seconds: float
    args: Mapping[str, Any] = field(repr=False, default_factory=dict)
    blob: Path | None = None

    def digest(self, key: str) -> str:
        return names.keyed_digest(key, json.dumps(revealed(self.args), sort_keys=True))


AnyStep: TypeAlias = Step[Any] | UntypedStep


def in_order(plan: HostPlan) -> list[AnyStep | Hook]:
    """What the plan does on its host, with the hooks around it. Hooks of a migration come with
    one only."""
    if plan.switch is None:
        return []
    migration: list[AnyStep] = [migrate(plan, plan.migration)] if plan.migration else []
    work: dict[str, list[AnyStep]] = {
        "prepare": prepare(plan),
        "migrate": migration,
        "switch": [switch(plan)],
    }
    found: list[AnyStep | Hook] = []
    for moment in moments():
        if moment.side == "after":
            found += work.get(moment.phase, ())
        if moment.phase != "migrate" or migration:
            found += [hook for hook in plan.hooks if hook.moment == moment]
    return found


def titles(plan: HostPlan) -> list[str]:
    """The same in words."""
    return [str(one) if isinstance(one, Hook) else one.title for one in in_order(plan)]


# -- before the switch: nothing of it touches what serves


def prepare(plan: HostPlan, until: Stage | None = None) -> list[AnyStep]:
    """The host's own part, then the release, no further than `until`."""
    found: list[AnyStep] = [] if plan.host_files is None else [_refresh(plan, plan.host_files)]
    if plan.making is not None:
        for stage, steps in _STAGES.items():
            found += steps(plan, plan.making)
            if stage == until:
                break
    return found


def _refresh(plan: HostPlan, host_files: Mapping[str, str]) -> UntypedStep:
    args = {**_of_release(plan), "host_files": dict(host_files), "digest_key": plan.digest_key}
    return UntypedStep("refresh", "host side", _SMALL_SECONDS, args)


def _deliveries(plan: HostPlan, making: Making) -> Iterator[AnyStep]:
    """pip, where the host lacks it; the application's wheel, and those of what lies beside it."""
    if making.tool is not None:
        yield tool(_of_release(plan), making.tool)
    for wheel in making.deliveries:
        title = "upload" if wheel.source is None else "fetch"
        if wheel.name != making.packages.application.name:
            title = f"{title} {wheel.name}"
        args = _file(_of_release(plan), wheel)
        yield UntypedStep("upload", title, _UPLOAD_SECONDS, args, wheel.path)


def tool(header: Mapping[str, Any], installer: Delivery) -> UntypedStep:
    """The host's pip or uv, for all applications on it."""
    args = {**_file(header, installer), "tool": installer.name, "version": installer.version}
    return UntypedStep("tool", installer.name, _UPLOAD_SECONDS, args, installer.path)


def _file(header: Mapping[str, Any], file: Delivery) -> dict[str, Any]:
    known = {**header, "sha256": file.sha256, "filename": file.filename}
    return known if file.source is None else {**known, "source": file.source.args}


def _venv(plan: HostPlan, making: Making) -> Iterator[AnyStep]:
    yield UntypedStep("venv", "venv", _SMALL_SECONDS, {**_of_release(plan), **_python(making)})


def _install(plan: HostPlan, making: Making) -> Iterator[AnyStep]:
    packages = making.packages
    application, lock = packages.application, packages.lock
    args = {
        **_of_release(plan),
        **_python(making),
        "lock": lock.text,
        "lock_sha256": lock.sha256,
        "lock_beside": lock.text_beside,
        "wheel_sha256": application.wheel_sha256,
        "wheel_filename": application.wheel.name,
        "beside": [{"sha256": one.wheel_sha256, "filename": one.wheel.name} for one in lock.wheels],
        **_installer(packages),
        "timeout_seconds": packages.timeout_seconds,
        "index_environment": dict(packages.index_environment),
    }
    yield UntypedStep("install", "install", packages.timeout_seconds + _SMALL_SECONDS, args)


def _installer(packages: Packages) -> dict[str, Any]:
    return {
        "installer": packages.installer,
        "pip_version": packages.pip_version,
        "uv_version": packages.uv_version,
    }


def _configure(plan: HostPlan, making: Making) -> Iterator[AnyStep]:
    files = dict(making.files)
    env = {name: variable.value for name, variable in making.variables.items()}
    # By it the host knows whether this step was done already with just this.
    texts = [json.dumps(one, sort_keys=True) for one in (files, revealed(env))]
    digest = names.keyed_digest(plan.digest_key, "".join(texts))
    args = {**_of_release(plan), "files": files, "env": env, "digest": digest}
    yield UntypedStep("configure", "configure", _SMALL_SECONDS, args)


def _verify(plan: HostPlan, making: Making) -> Iterator[AnyStep]:
    args = {
        **_of_release(plan),
        "entry": making.entry,
        "static_dir": making.static_dir,
        **_installer(making.packages),
        "import_seconds": making.import_seconds,
        "site_changes": dict(plan.switching.site),
        "server_names": list(making.server_names),
    }
    yield UntypedStep("verify", "verify", making.import_seconds + _SMALL_SECONDS, args)


def _complete(plan: HostPlan, making: Making) -> Iterator[AnyStep]:
    args = {**_of_release(plan), "manifest": _manifest(plan, making)}
    yield UntypedStep("complete", "complete", _SMALL_SECONDS, args)


_STAGES: Mapping[str, Callable[[HostPlan, Making], Iterator[AnyStep]]] = {
    "upload": _deliveries,
    "venv": _venv,
    "install": _install,
    "configure": _configure,
    "verify": _verify,
    "complete": _complete,
}


def _manifest(plan: HostPlan, making: Making) -> dict[str, Any]:
    application, lock = making.packages.application, making.packages.lock
    return {
        "name": application.name,
        "version": application.version,
        "content": making.content,
        "wheel_sha256": application.wheel_sha256,
        "lock_sha256": lock.sha256,
        "beside": {one.name: one.wheel_sha256 for one in lock.wheels},
        "closed": True,  # nobody but the app reads its code; earlier versions do not say
        "python": to_json(making.python),
        "entry": making.entry,
        "probe": to_json(plan.switching.probe),
        "cartwheel": __version__,
        "created": making.created,
        "who": plan.operator.who,
        "message": plan.operator.message,
        "env": {
            name: {"source": variable.source, "digest": variable.digest}
            for name, variable in making.variables.items()
        },
    }


def migrate(plan: HostPlan, migration: Migration) -> UntypedStep:
    """The command that runs once in the fleet."""
    seconds = migration.timeout_seconds
    args = {**_of_release(plan), "command": migration.command, "timeout_seconds": seconds}
    return UntypedStep("migrate", "migrate", seconds + _SMALL_SECONDS, args)


# -- the switch and what comes after it


def switch(plan: HostPlan) -> Step[Switched]:
    """The one request that moves traffic."""
    from cartwheel.host.wire.switching import Switch

    deal = plan.switching
    asked = Switch(
        kind=plan.kind,
        release=plan.release,
        version=plan.version,
        fresh=plan.fresh,
        site_changes=dict(deal.site),
        listen=deal.listen,
        static_dir=deal.static_dir,
        probe=deal.probe,
        watch_seconds=deal.watch_seconds,
        limits=deal.limits,
        confirm_seconds=deal.confirm_seconds,
        keep_releases=deal.keep_releases,
        settings=None if deal.settings is None else dict(deal.settings),
    )
    return Step("switch", deal.deadline_seconds, asked)


def watch(seconds: float) -> Step[Done]:
    """A host that has switched watches itself in its traffic for so long."""
    from cartwheel.host.wire.switching import Watch

    return Step("watch", seconds + _SMALL_SECONDS, Watch(seconds))


def confirm(switch_id: str) -> Step[Done]:
    """The point of no return."""
    from cartwheel.host.wire.switching import Confirm

    return Step("confirm", _SMALL_SECONDS, Confirm(switch_id))


def finish(seconds: float) -> Step[Done]:
    """Drain, stop and prune, which may take so long."""
    from cartwheel.host.wire.switching import Finish

    return Step("drain and prune", seconds, Finish())


def go_back(reason: str, seconds: float, *, is_bad: bool) -> Step[WentBack]:
    """Back from a switch that was not confirmed; a release that is not bad stays."""
    from cartwheel.host.wire.switching import GoBack

    return Step("go back", seconds, GoBack(reason, is_bad))


# -- where nothing is switched


def unchanged(plan: HostPlan, seconds: float) -> Step[Done]:
    """The host notes that it serves the release already."""
    from cartwheel.host.wire.switching import Unchanged

    return Step("unchanged", seconds, Unchanged(plan.release, plan.version))


def abandon(plan: HostPlan, reason: str, log: str, *, is_bad: bool) -> UntypedStep:
    """The host notes that preparing the release failed; one that is bad does not stay, if this
    plan made it."""
    args = {
        **_of_release(plan),
        "version": plan.version,
        "fresh": plan.fresh and is_bad,
        "kind": plan.kind,
        "reason": reason,
        "log": log,
    }
    return UntypedStep("abandon", "abandon", _SMALL_SECONDS, args)


# -- around all of it


def hook(plan: HostPlan, one: Hook, host: str) -> UntypedStep:
    """A command of the user's on this host."""
    known = variables(
        one,
        app=plan.app.name,
        who=plan.operator.who,
        message=plan.operator.message,
        host=host,
        release=plan.release,
        version=plan.version,
        previous=plan.current or "",
    )
    args = {
        **_of_release(plan),
        "hook": one.name,
        "command": one.command,
        "timeout_seconds": one.timeout_seconds,
        "variables": known,
    }
    return UntypedStep("hook", one.title, one.timeout_seconds + _HOOK_MARGIN_SECONDS, args)


# -- what requests have in common


def _header(plan: HostPlan) -> dict[str, Any]:
    return {
        "app": plan.app.name,
        "base": plan.app.base,
        "who": plan.operator.who,
        "message": plan.operator.message,
    }


def _of_release(plan: HostPlan) -> dict[str, Any]:
    return {**_header(plan), "release": plan.release, "user": plan.app.user}


def _python(making: Making) -> dict[str, Any]:
    return {"python": making.python.path, "python_version": making.python.version}
