"""The words of a deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._scene import word

if TYPE_CHECKING:
    from cartwheel.plan.model import HostPlan
    from cartwheel.run.scene import Scene

    from ._show import Output

_TESTS = {"skip-tests": "Do not run the application's own tests."}


@word(changing=True, more_roles=("balancer",))
def setup(scene: Scene, out: Output) -> int:
    """Prepare bare hosts (Python, nginx, user) and balancers."""
    from cartwheel.run.setup import setup as run

    return out.answers(run(scene), lambda one: "; ".join(one["changes"]) or "nothing to do")


@word(changing=True, rollout=True, help=_TESTS)
def deploy(scene: Scene, out: Output, skip_tests: bool = False) -> int:
    """Put the app on the hosts, without a failed request.

    Test and build here; on every host upload, install, configure and verify; then on the
    first host, and after it on the others, batch by batch: start beside the old release,
    check, switch, watch. One failure puts every host back, unless --max-failures allows it.
    Deploying what serves already changes nothing.
    """
    from cartwheel.run.deploy import deploy as run

    return out.report(run(scene, skip_tests=skip_tests))


@word(help=_TESTS)
def plan(scene: Scene, out: Output, skip_tests: bool = False) -> int:
    """Show what a deploy would do; changes nothing."""
    from cartwheel.run.deploy import plan as run

    plans = run(scene, skip_tests=skip_tests)
    for host, one in plans.items():
        out.say(f"[{host}] {one.current or 'nothing'} -> {one.release or '?'}")
        for refusal in one.refusals:
            out.say(f"[{host}]   refused: {refusal.message}")
        for title in _steps(one):
            out.say(f"[{host}]   {title}")
        for note in one.notes:
            out.say(f"[{host}]   note: {note}")
    out.put(
        hosts=[
            {
                "host": host,
                "current": one.current,
                "release": one.release,
                "version": one.version,
                "unchanged": one.unchanged,
                "steps": _steps(one),
                "refusals": [
                    {"slug": refusal.slug, "message": refusal.message} for refusal in one.refusals
                ],
                "notes": list(one.notes),
            }
            for host, one in plans.items()
        ]
    )
    return 0


def _steps(plan: HostPlan) -> list[str]:
    return [] if plan.unchanged else [step.title for step in (*plan.prepare, plan.switch)]


@word(changing=True, help=_TESTS)
def upload(scene: Scene, out: Output, skip_tests: bool = False) -> int:
    """Build, and upload the wheel; what serves is not touched."""
    return _prepare(scene, out, "upload", skip_tests)


@word(changing=True, help=_TESTS)
def venv(scene: Scene, out: Output, skip_tests: bool = False) -> int:
    """Upload, and make the new release's virtual environment."""
    return _prepare(scene, out, "venv", skip_tests)


@word(changing=True, help=_TESTS)
def install(scene: Scene, out: Output, skip_tests: bool = False) -> int:
    """Upload, venv, and install exactly the lock into it."""
    return _prepare(scene, out, "install", skip_tests)


@word(changing=True, help=_TESTS)
def configure(scene: Scene, out: Output, skip_tests: bool = False) -> int:
    """Upload, venv, install, and write the configuration."""
    return _prepare(scene, out, "configure", skip_tests)


def _prepare(scene: Scene, out: Output, last: str, skip_tests: bool) -> int:
    from cartwheel.run.deploy import prepare

    return out.report(prepare(scene, last, skip_tests=skip_tests))


@word(hosts="none")
def build(scene: Scene, out: Output) -> int:
    """Build the wheel and its lock here, and print their paths."""
    from cartwheel.run.product import build_only as run

    wheel, lock = run(scene)
    out.put(wheel=str(wheel), lock=str(lock))
    out.say(f"{wheel}\n{lock}")
    return 0


@word(hosts="none")
def test(scene: Scene, out: Output) -> int:
    """Run the app's own tests, in an environment of its lock."""
    from cartwheel.run.product import test_only as run

    out.put(tested=run(scene))
    return 0
