"""The words of a deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.fab import FabContext, task

from . import _show
from ._scene import CHANGING, COMMON, scene_of

if TYPE_CHECKING:
    from cartwheel.fleet.model import Report

_TESTS = {"skip-tests": "Do not run the application's own tests."}


@task(help=CHANGING)
def setup(c: FabContext, app: str = "", env: str = "", message: str = "", wait: str = "10") -> None:
    """Prepare a bare host: Python, nginx, the app's user and directories."""
    from cartwheel.run.scene import raise_failures
    from cartwheel.run.setup import setup as run

    answers = run(scene_of(c, app, env, message=message, wait=wait))
    raise_failures(answers)
    for host, answer in answers.items():
        changes = answer["changes"] if isinstance(answer, dict) else []
        print(f"[{host}] " + ("; ".join(changes) if changes else "nothing to do"))


@task(help={**CHANGING, **_TESTS})
def deploy(
    c: FabContext,
    app: str = "",
    env: str = "",
    message: str = "",
    wait: str = "10",
    skip_tests: bool = False,
) -> int:
    """Test, build, upload, install, configure, start, check, switch, prune."""
    from cartwheel.run.deploy import deploy as run

    scene = scene_of(c, app, env, message=message, wait=wait)
    return show_report(run(scene, skip_tests=skip_tests))


def show_report(report: Report) -> int:
    """The final table, then every failure with what to do; the exit code."""
    for host in report.hosts:
        if host.error is not None:
            if host.error.detail:
                _show.complain(host.error.detail)
            _show.complain(f"{host.error}\n  {host.error.hint}")
    _show.table(
        [(h.host, h.outcome, h.serves or "-", h.before or "-") for h in report.hosts],
        ("HOST", "OUTCOME", "SERVES", "BEFORE"),
    )
    print(f"{report.release} in {report.seconds:.1f} s")
    return report.exit_code


@task(help={**COMMON, **_TESTS})
def plan(c: FabContext, app: str = "", env: str = "", skip_tests: bool = False) -> None:
    """Show what a deploy would do; changes nothing."""
    from cartwheel.run.deploy import plan as run

    for host, one in run(scene_of(c, app, env), skip_tests=skip_tests).items():
        print(f"[{host}] {one.current or 'nothing'} -> {one.release or '?'}")
        for refusal in one.refusals:
            print(f"[{host}]   refused: {refusal.message}")
        for step in () if one.unchanged else (*one.prepare, one.switch):
            print(f"[{host}]   {step.title}")
        for note in one.notes:
            print(f"[{host}]   note: {note}")
