"""The tasks of a deploy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from cartwheel.terminal.scene import HOOKS, app_task, with_hooks

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.plan.host_plan import HostPlan
    from cartwheel.plan.step import Stage
    from cartwheel.terminal.show import Output

_TESTS = {"skip-tests": "Do not run the application's own tests."}


@app_task(changing=True, more_roles=("balancer",))
def setup(scene: Scene, out: Output) -> int:
    """Prepare hosts and balancers: packages, user, folders."""
    from cartwheel.commands.monitor import unwatched
    from cartwheel.commands.setup import setup as run

    code = out.answers(run(scene), lambda one: "prepared" if one.changes else "nothing to do")
    for line in unwatched(scene):
        out.say(line)
    if code == 0:
        out.say(f"next: `{scene.typed.command('deploy')}`")
    return code


_DEPLOY = {
    **_TESTS,
    **HOOKS,
    "plan": "Do exactly what this plan of `fab plan --out FILE` says, or nothing.",
    "move-exclusive": "Move exclusive processes and timers away from hosts that it does not reach:"
    " only if these are off for good.",
    "dry-run": "Only show what it would do, as `fab plan` does.",
}


@app_task(changing=lambda options: not options["dry_run"], rollout=True, help=_DEPLOY)
def deploy(
    scene: Scene,
    out: Output,
    skip_tests: bool = False,
    skip_hooks: bool = False,
    plan: str = "",
    move_exclusive: bool = False,
    dry_run: bool = False,
) -> int:
    """Deploy the app to the hosts, without a failed request.

    Tests and builds here; uploads, installs, configures and verifies on every host; then, canary
    first and batch by batch, starts the new release beside the old one, checks its health,
    switches and watches it. One failure rolls every host back, unless --max-failures allows it.
    Deploying a release that is already live changes nothing.
    """
    from cartwheel.commands.deploy import deploy as run
    from cartwheel.commands.plan import read
    from cartwheel.terminal.notified import telling

    scene = replace(with_hooks(scene, not skip_hooks), move_exclusive=move_exclusive)
    if dry_run:
        return _show_plan(scene, out, skip_tests)
    sealed = read(scene.project / plan, scene) if plan else None
    with telling(scene, out, "deploy") as told:
        report = run(scene, skip_tests=skip_tests, sealed=sealed)
        told.result(report)
        code = out.report(report)
    if code == 0:
        moved = [one for one in report.hosts if one.outcome == "deployed"]
        _say_where(scene, out, can_go_back=bool(moved) and all(one.before for one in moved))
    return code


def _say_where(scene: Scene, out: Output, *, can_go_back: bool) -> None:
    """The end of a deploy: the address to open, and the next command."""
    from dataclasses import asdict

    from cartwheel.commands.site import sites
    from cartwheel.terminal.report import site_lines

    found = sites(scene)
    out.put(sites=[asdict(site) for site in found])
    for line in site_lines(found):
        out.say(line)
    typed = scene.typed
    out.say(f"next: `{typed.command('status')}`, `{typed.command('logs')}`")
    if can_go_back:
        out.say(f"to go back: `{typed.command('rollback')}`")


_PLAN = {
    **_TESTS,
    **HOOKS,
    "out": "Write the plan to this file, for `fab deploy --plan FILE`.",
    "exit-code": "Exit with 10 if there is something to do, for CI.",
}


@app_task(quiet=True, rollout=True, help=_PLAN)
def plan(
    scene: Scene,
    out: Output,
    skip_tests: bool = False,
    skip_hooks: bool = False,
    out_: str = "",
    exit_code: bool = False,
) -> int:
    """Show what a deploy would do; changes nothing.

    Lists for each host packages, settings and variables by name, the units that would start and
    stop, the steps, and diffs of the files that would change.
    """
    scene = with_hooks(scene, not skip_hooks)
    return _show_plan(scene, out, skip_tests, keep=out_, exit_code=exit_code)


def _show_plan(
    scene: Scene, out: Output, skip_tests: bool, *, keep: str = "", exit_code: bool = False
) -> int:
    from cartwheel.commands.plan import plan as run
    from cartwheel.commands.plan import write
    from cartwheel.errors import Exit
    from cartwheel.terminal.plan import fields_of, lines_of

    found = run(scene, skip_tests=skip_tests)
    plans = {host: one.plan for host, one in found.items()}
    order = _order(plans, scene)
    last = _last_seconds(scene)
    lines = {host: tuple(lines_of(one, last.get(host))) for host, one in found.items()}
    for hosts, texts in _alike(lines):
        for line in texts:
            out.say(f"[{hosts}] {line}")
    if len(plans) > 1:
        for number, batch in enumerate(order, 1):
            out.say(f"switch {number}: {', '.join(batch)}")
    out.put(batches=order, hosts=[fields_of(host, one) for host, one in found.items()])
    if any(one.refusals for one in plans.values()) and (keep or exit_code):
        return int(Exit.FAILED)
    if keep:
        write(scene.project / keep, scene, plans)
        out.say(f"wrote {keep}: `fab deploy --plan {keep}` does exactly this")
    is_busy = not all(one.idle for one in plans.values())
    return int(Exit.CHANGES) if exit_code and is_busy else int(Exit.OK)


def _last_seconds(scene: Scene) -> dict[str, float]:
    """How long the last deploy of this application took on each host, from this machine."""
    from cartwheel.places import runs_dir
    from cartwheel.runs.read import last_seconds

    settings = scene.settings
    return last_seconds(runs_dir(), "deploy", settings.app.name, settings.environment)


def _alike(plans: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each host with its lines; many hosts with the same lines share them."""
    from cartwheel.telling import hosts_text
    from cartwheel.terminal.report import MOST_ALIKE

    for host, lines in plans.items():
        same = [other for other in plans if plans[other] == lines]
        if len(same) <= MOST_ALIKE:
            yield host, lines
        elif host == same[0]:
            yield hosts_text(same), lines


def _order(plans: dict[str, HostPlan], scene: Scene) -> list[list[str]]:
    """The batches of hosts that switch together, in order."""
    from cartwheel.plan.rollout import batches

    return batches([host for host, one in plans.items() if not one.unchanged], scene.rollout)


@app_task(changing=True, help=_TESTS)
def upload(scene: Scene, out: Output, skip_tests: bool = False) -> int:
    """Build and upload the wheel; the live release stays."""
    return _prepare(scene, out, "upload", skip_tests)


@app_task(changing=True, help=_TESTS)
def venv(scene: Scene, out: Output, skip_tests: bool = False) -> int:
    """Upload, and make the new release's virtual environment."""
    return _prepare(scene, out, "venv", skip_tests)


@app_task(changing=True, help=_TESTS)
def install(scene: Scene, out: Output, skip_tests: bool = False) -> int:
    """Upload, venv, and install the locked packages into it."""
    return _prepare(scene, out, "install", skip_tests)


@app_task(changing=True, help=_TESTS)
def configure(scene: Scene, out: Output, skip_tests: bool = False) -> int:
    """Upload, venv, install, and write the configuration."""
    return _prepare(scene, out, "configure", skip_tests)


def _prepare(scene: Scene, out: Output, until: Stage, skip_tests: bool) -> int:
    from cartwheel.commands.deploy import prepare

    return out.report(prepare(scene, until, skip_tests=skip_tests))


@app_task(hosts="none")
def build(scene: Scene, out: Output) -> int:
    """Build the wheel and its lock here; print their paths."""
    from cartwheel.commands.product import build_only as run

    wheel, lock = run(scene)
    out.put(wheel=str(wheel), lock=str(lock))
    out.say(f"{wheel}\n{lock}")
    return 0


@app_task(hosts="none")
def test(scene: Scene, out: Output) -> int:
    """Run the app's own tests, with its locked packages."""
    from cartwheel.commands.product import test_only as run

    out.put(tested=run(scene))
    return 0
