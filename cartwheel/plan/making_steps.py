"""The steps that make a release: the requests of that part of a plan. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cartwheel import __version__
from cartwheel.host.wire.download import File
from cartwheel.host.wire.making import (
    BringTool,
    Complete,
    Configure,
    Install,
    MakeStatic,
    MakeVenv,
    Upload,
    Verify,
)
from cartwheel.host.wire.manifest import Manifest, Python
from cartwheel.host.wire.manifest import Placed as NotedFile
from cartwheel.host.wire.manifest import Variable as Noted
from cartwheel.host.wire.request import Done
from cartwheel.plan.host_plan import HostPlan
from cartwheel.plan.making import Delivery, Making
from cartwheel.plan.step import SMALL_SECONDS, AnyStep, Stage, Step

if TYPE_CHECKING:
    from cartwheel.build.products import Artifact

_UPLOAD_SECONDS = 600.0


def make(plan: HostPlan, making: Making, until: Stage | None) -> Iterator[AnyStep]:
    """All steps, or those up to `until`."""
    for stage, steps in _STAGES.items():
        yield from steps(plan, making)
        if stage == until:
            break


def tool(installer: Delivery) -> Step[Done]:
    """The host's pip or uv, shared by all applications on it."""
    request = BringTool(
        "uv" if installer.name == "uv" else "pip",
        installer.version,
        File(installer.filename, installer.sha256),
        installer.source,
    )
    return Step(installer.name, _UPLOAD_SECONDS, request, installer.path)


def _deliveries(_plan: HostPlan, making: Making) -> Iterator[Step[Done]]:
    """pip, if the host lacks it; the application's wheel, and the wheels sent with it."""
    if making.tool is not None:
        yield tool(making.tool)
    for wheel in making.deliveries:
        title = "upload" if wheel.source is None else "fetch"
        if wheel.name != making.packages.application.name:
            title = f"{title} {wheel.name}"
        request = Upload(File(wheel.filename, wheel.sha256), wheel.source)
        yield Step(title, _UPLOAD_SECONDS, request, wheel.path)


def _venv(plan: HostPlan, making: Making) -> Iterator[Step[Done]]:
    request = MakeVenv(plan.release, plan.app.user, _python(making))
    yield Step("venv", SMALL_SECONDS, request)


def _install(plan: HostPlan, making: Making) -> Iterator[Step[Done]]:
    packages = making.packages
    lock = packages.lock
    request = Install(
        release=plan.release,
        python=_python(making),
        lock=lock.text,
        lock_sha256=lock.sha256,
        lock_beside=lock.text_beside,
        wheels=tuple(map(_wheel, (packages.application, *lock.wheels))),
        installing=packages.installing,
        timeout_seconds=packages.timeout_seconds,
    )
    yield Step("install", packages.timeout_seconds + SMALL_SECONDS, request)


def _wheel(artifact: Artifact) -> File:
    return File(artifact.wheel.name, artifact.wheel_sha256)


def _configure(plan: HostPlan, making: Making) -> Iterator[Step[Done]]:
    files = dict(making.files)
    env = {name: variable.value for name, variable in making.variables.items()}
    placed, folders = dict(making.placed), making.folders
    locks = tuple(name for name, one in making.processes.items() if one.never_twice)
    request = Configure(
        release=plan.release,
        user=plan.app.user,
        files=files,
        env=env,
        placed=placed,
        folders=folders,
        locks=locks,
        has_static=making.static is not None,
        digest="",
    )
    step = Step("configure", SMALL_SECONDS, request)
    # It shows the host whether this step was already done with the same input.
    yield replace(step, request=replace(request, digest=step.digest(plan.digest_key)))


def _static(plan: HostPlan, making: Making) -> Iterator[Step[Done]]:
    """Before the application is loaded for the first time: it may look for its files then."""
    made = making.static
    if made is not None:
        seconds = made.timeout_seconds
        request = MakeStatic(plan.release, plan.app.user, made.setting, made.command, seconds)
        yield Step("static", seconds + SMALL_SECONDS, request)


def _verify(plan: HostPlan, making: Making) -> Iterator[Step[Done]]:
    request = Verify(
        release=plan.release,
        installing=replace(making.packages.installing, index={}),
        entry=making.entry,
        served=making.served,
        import_seconds=making.import_seconds,
        site_changes=plan.switching.site_changes,
        server_names=making.server_names,
        programs={
            **{f"processes.{name}": one.program for name, one in making.processes.items()},
            **{f"timers.{name}": one.program for name, one in making.timers.items()},
        },
        zones={f"timers.{name}.zone": one.zone for name, one in making.timers.items()},
    )
    yield Step("verify", making.import_seconds + SMALL_SECONDS, request)


def _complete(plan: HostPlan, making: Making) -> Iterator[Step[Done]]:
    application, lock = making.packages.application, making.packages.lock
    manifest = Manifest(
        release=plan.release,
        name=application.name,
        version=application.version,
        content=making.content,
        wheel_sha256=application.wheel_sha256,
        lock_sha256=lock.sha256,
        beside={one.name: one.wheel_sha256 for one in lock.wheels},
        closed=True,
        python=_python(making),
        entry=making.entry,
        probe=plan.switching.probe,
        cartwheel=__version__,
        created=making.created,
        who=plan.operator.who,
        message=plan.operator.message,
        commit=plan.commit,
        env={name: Noted(source, digest) for name, (source, digest) in making.noted.items()},
        processes=dict(making.processes),
        timers=dict(making.timers),
        prefix=making.prefix,
        placed={
            name: NotedFile(making.placed_digests[name], one.secret)
            for name, one in making.placed.items()
        },
    )
    yield Step("complete", SMALL_SECONDS, Complete(manifest))


def _python(making: Making) -> Python:
    return Python(making.python.path, making.python.version, making.python.stdlib)


_STAGES: Mapping[str, Callable[[HostPlan, Making], Iterator[Step[Done]]]] = {
    "upload": _deliveries,
    "venv": _venv,
    "install": _install,
    "configure": _configure,
    "static": _static,
    "verify": _verify,
    "complete": _complete,
}
