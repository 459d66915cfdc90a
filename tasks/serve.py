"""Tasks that change which release is live, without making a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import HOOKS, app_task, number, with_hooks

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.host.wire.running import Pruned
    from cartwheel.terminal.show import Output


@app_task(
    changing=True,
    rollout=True,
    help={
        "to": "Release or version, as `fab releases` lists them (default: the last good one).",
        **HOOKS,
    },
)
def rollback(scene: Scene, out: Output, to: str = "", skip_hooks: bool = False) -> int:
    """Go back to an earlier release, without index or build."""
    from cartwheel.commands.rollback import rollback as run
    from cartwheel.terminal.notified import telling

    with telling(scene, out, "rollback") as told:
        report = run(with_hooks(scene, not skip_hooks), to or None)
        told.result(report)
        return out.report(report)


@app_task(changing=True, rollout=True, help=HOOKS)
def restart(scene: Scene, out: Output, skip_hooks: bool = False) -> int:
    """Start a new instance of the live release; switch to it."""
    from cartwheel.commands.rollback import restart as run
    from cartwheel.terminal.notified import telling

    with telling(scene, out, "restart") as told:
        report = run(with_hooks(scene, not skip_hooks))
        told.result(report)
        return out.report(report)


@app_task(changing=True)
def stop(scene: Scene, out: Output) -> int:
    """Stop the app until `fab start`, also across reboots."""
    from cartwheel.commands import ask

    return out.answers(ask.stop(scene), lambda one: "stopped" if one.changed else "already stopped")


@app_task(changing=True)
def start(scene: Scene, out: Output) -> int:
    """Start the app again after `fab stop`."""
    from cartwheel.commands import ask

    return out.answers(
        ask.start(scene),
        lambda one: f"{'started' if one.changed else 'already running:'} {one.release}",
    )


@app_task(
    changing=True,
    help={
        "keep": "Number of releases to keep (default: deploy.keep_releases).",
        "cache": "Also remove the downloads of pip and uv.",
    },
)
def prune(scene: Scene, out: Output, keep: str = "", cache: bool = False) -> int:
    """Remove old releases that nothing needs."""
    from cartwheel.commands import ask

    def told(one: Pruned) -> str:
        done = [*one.cleaned, *(f"removed {name}" for name in one.removed)]
        if one.emptied_bytes:
            done.append(f"removed {one.emptied_bytes / 1e6:.0f} MB of downloads")
        return "; ".join(done) or "nothing to do"

    most = number("keep", keep, least=1) if keep else None
    return out.answers(ask.prune(scene, most, cache=cache), told)


@app_task(changing=True)
def packages(scene: Scene, out: Output) -> int:
    """Install the system packages that host.packages names."""
    from cartwheel.commands import ask

    return out.answers(
        ask.packages(scene),
        lambda one: "installed " + ", ".join(one.installed) if one.installed else "nothing to do",
    )


@app_task(
    changing=True,
    help={
        "yes": "Do not ask for confirmation.",
        "keep-shared": "Keep the app's data (shared/), and the user that owns it.",
        "now": "Kill requests and jobs that are under way, instead of waiting for their end.",
    },
)
def uninstall(
    scene: Scene, out: Output, yes: bool = False, keep_shared: bool = False, now: bool = False
) -> int:
    """Remove the app; system packages stay. Asks first."""
    from cartwheel.commands import ask

    name = scene.settings.slug
    what = "its releases" if keep_shared else "its releases and ALL ITS DATA in shared/"
    question = f"Remove {name}, {what}, from {', '.join(scene.hosts)}?"
    if not yes and not out.confirmed(question, name):
        out.say("Nothing was changed.")
        return 1
    return out.answers(
        ask.uninstall(scene, keep_shared=keep_shared, now=now),
        lambda one: "; ".join([*one.removed, *(f"kept {path}" for path in one.kept)]),
    )
