"""Runs hooks on this machine, and reports their results."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from cartwheel import process_env, programs
from cartwheel.commands.scene import Scene
from cartwheel.errors import CartwheelError, Exit
from cartwheel.events import timed
from cartwheel.fleet.report import Report
from cartwheel.plan.hooks import Hook, Moment, Side, hooks_for, variables
from cartwheel.programs import LateError
from cartwheel.settings.phases import Kind


def here(scene: Scene) -> Callable[[Hook, Mapping[str, str]], None]:
    """The function for `Terms.here`."""
    return functools.partial(_run, scene)


def around_build(scene: Scene, side: Side, **more: str) -> None:
    """Run the hooks before or after the build. Raises CartwheelError("hook-failed")."""
    _at(scene, "deploy", Moment(side, "build"), more)


def around_run(scene: Scene, kind: Kind, work: Callable[[], Report]) -> Report:
    """Run the hooks before the run, the run, and then always the hooks after it.

    Raises CartwheelError("hook-failed") before anything was begun, and the errors of `work`.
    """
    _at(scene, kind, Moment("before", "run"), {})
    result, release, version = "failed", "", ""
    try:
        report = work()
        result, release, version = _result(report), report.release, report.version
    except KeyboardInterrupt:
        result = "interrupted"
        raise
    finally:
        more = {"result": result, "release": release, "version": version}
        _at(scene, kind, Moment("after", "run"), more, told_only=True)
    return report


def _result(report: Report) -> str:
    """The value of CARTWHEEL_RESULT."""
    words = {
        Exit.OK: "unchanged" if all(one.outcome == "unchanged" for one in report.hosts) else "done",
        Exit.REVERTED: "rolled-back",
        Exit.ATTENTION: "attention",
    }
    return words.get(Exit(report.exit_code), "failed")


def _at(
    scene: Scene, kind: Kind, moment: Moment, more: Mapping[str, str], *, told_only: bool = False
) -> None:
    for hook in hooks_for(scene.settings, kind):
        if hook.moment == moment:
            try:
                _run(scene, hook, {"hosts": " ".join(scene.hosts), **more})
            except CartwheelError:
                if hook.stops and not told_only:
                    raise


def _run(scene: Scene, hook: Hook, more: Mapping[str, str]) -> None:
    """Run one hook to its end, by `sh -c` in the project's folder. Raises
    CartwheelError("hook-failed") with the end of its output."""
    known = variables(
        hook,
        app=scene.settings.slug,
        who=scene.operator.who,
        message=scene.operator.message,
        **more,
    )
    timed(scene.emit, hook.title, lambda: _run_command(scene, hook, known))


def _run_command(scene: Scene, hook: Hook, known: Mapping[str, str]) -> None:
    try:
        ended = programs.run(
            ["sh", "-c", hook.command],
            env=process_env.of_user(known),
            cwd=scene.project,
            deadline_seconds=hook.timeout_seconds,
            on_wait=programs.progress_of(hook.title, scene.emit),
        )
        how = ended.how
    except LateError as error:
        ended, how = error.ended, f"did not end within {hook.timeout_seconds:g} s"
    else:
        if ended.status == 0:
            return
    message = f"{hook.title} ({hook.moment}) {how}"
    raise CartwheelError("hook-failed", message, detail=ended.tail())
