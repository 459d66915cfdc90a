"""The words of a deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.fab import FabContext, task

from . import _show
from ._scene import CHANGING, COMMON, scene_of

if TYPE_CHECKING:
    from cartwheel.run.scene import Scene

_TESTS = {"skip-tests": "Do not run the application's own tests."}


@task(help=CHANGING)
def setup(c: FabContext, app: str = "", env: str = "", message: str = "", wait: str = "10") -> int:
    """Prepare a bare host: Python, nginx, the app's user and directories."""
    from cartwheel.run.setup import setup as run

    return _show.answers(
        run(scene_of(c, app, env, message=message, wait=wait)),
        lambda one: "; ".join(one["changes"]) or "nothing to do",
    )


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
    return _show.report(run(scene, skip_tests=skip_tests))


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


@task(help={**CHANGING, **_TESTS})
def upload(
    c: FabContext,
    app: str = "",
    env: str = "",
    message: str = "",
    wait: str = "10",
    skip_tests: bool = False,
) -> int:
    """Build, and upload the wheel; nothing that serves is touched."""
    return _prepare(scene_of(c, app, env, message=message, wait=wait), "upload", skip_tests)


@task(help={**CHANGING, **_TESTS})
def venv(
    c: FabContext,
    app: str = "",
    env: str = "",
    message: str = "",
    wait: str = "10",
    skip_tests: bool = False,
) -> int:
    """Upload, and make the new release's virtual environment."""
    return _prepare(scene_of(c, app, env, message=message, wait=wait), "venv", skip_tests)


@task(help={**CHANGING, **_TESTS})
def install(
    c: FabContext,
    app: str = "",
    env: str = "",
    message: str = "",
    wait: str = "10",
    skip_tests: bool = False,
) -> int:
    """Upload, venv, and install exactly the lock into it."""
    return _prepare(scene_of(c, app, env, message=message, wait=wait), "install", skip_tests)


@task(help={**CHANGING, **_TESTS})
def configure(
    c: FabContext,
    app: str = "",
    env: str = "",
    message: str = "",
    wait: str = "10",
    skip_tests: bool = False,
) -> int:
    """Upload, venv, install, and write the new release's configuration."""
    return _prepare(scene_of(c, app, env, message=message, wait=wait), "configure", skip_tests)


def _prepare(scene: Scene, last: str, skip_tests: bool) -> int:
    from cartwheel.run.deploy import prepare

    return _show.report(prepare(scene, last, skip_tests=skip_tests))


@task(help=COMMON, hosts="none")
def build(c: FabContext, app: str = "", env: str = "") -> None:
    """Build the wheel and its lock on this machine, and print their paths."""
    from cartwheel.run.product import build_only as run

    for path in run(scene_of(c, app, env, needs_hosts=False)):
        print(path)


@task(help=COMMON, hosts="none")
def test(c: FabContext, app: str = "", env: str = "") -> None:
    """Run the app's own tests, in an environment made from its lock."""
    from cartwheel.run.product import test_only as run

    run(scene_of(c, app, env, needs_hosts=False))
