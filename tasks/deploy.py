"""The words of a deploy."""

from __future__ import annotations

from collections.abc import Iterator
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


@word(rollout=True, help=_TESTS)
def plan(scene: Scene, out: Output, skip_tests: bool = False) -> int:
    """Show what a deploy would do; changes nothing."""
    from cartwheel.run.deploy import plan as run

    plans = run(scene, skip_tests=skip_tests)
    order = _order(plans, scene)
    for hosts, lines in _alike({host: tuple(_lines(one)) for host, one in plans.items()}):
        for line in lines:
            out.say(f"[{hosts}] {line}")
    if len(plans) > 1:
        for number, batch in enumerate(order, 1):
            out.say(f"switch {number}: {', '.join(batch)}")
    out.put(
        batches=order,
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
        ],
    )
    return 0


def _lines(plan: HostPlan) -> Iterator[str]:
    yield f"{plan.current or 'nothing'} -> {plan.release or '?'}"
    yield from (f"  refused: {refusal.message}" for refusal in plan.refusals)
    yield from (f"  {title}" for title in _steps(plan))
    yield from (f"  note: {note}" for note in plan.notes)


def _alike(plans: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each host with its lines; many that have the same lines together."""
    from cartwheel.telling import hosts_text

    from ._report import MOST_ALIKE

    for host, lines in plans.items():
        same = [other for other in plans if plans[other] == lines]
        if len(same) <= MOST_ALIKE:
            yield host, lines
        elif host == same[0]:
            yield hosts_text(same), lines


def _steps(plan: HostPlan) -> list[str]:
    if plan.unchanged:
        return []
    migrate = [plan.migrate] if plan.migrate else []
    return [step.title for step in (*plan.prepare, *migrate, plan.switch)]


def _order(plans: dict[str, HostPlan], scene: Scene) -> list[list[str]]:
    """Who switches with whom, batch by batch."""
    from cartwheel.plan.rollout import batches

    return batches([host for host, one in plans.items() if not one.unchanged], scene.rollout)


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
