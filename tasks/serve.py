"""Words that change what serves, without a new release."""

from __future__ import annotations

from cartwheel.errors import UsageError
from cartwheel.fab import FabContext, task

from . import _show
from ._scene import CHANGING, scene_of


@task(
    help={**CHANGING, "to": "A release or version of `fab releases`; default: the last good one."}
)
def rollback(
    c: FabContext, app: str = "", env: str = "", message: str = "", wait: str = "10", to: str = ""
) -> int:
    """Go back to an earlier release that is still on the host; needs no index, no build."""
    from cartwheel.run.rollback import rollback as run

    scene = scene_of(c, app, env, message=message, wait=wait)
    return _show.report(run(scene, to or None))


@task(help=CHANGING)
def restart(
    c: FabContext, app: str = "", env: str = "", message: str = "", wait: str = "10"
) -> int:
    """Start a second instance of what serves, and switch to it."""
    from cartwheel.run.rollback import restart as run

    return _show.report(run(scene_of(c, app, env, message=message, wait=wait)))


@task(help=CHANGING)
def stop(c: FabContext, app: str = "", env: str = "", message: str = "", wait: str = "10") -> int:
    """Stop serving, until `fab start`; a reboot or a deploy does not start it."""
    from cartwheel.run import ask

    answers = ask.stop(scene_of(c, app, env, message=message, wait=wait))
    return _show.answers(answers, lambda one: f"{'stopped' if one['changed'] else 'was stopped'}")


@task(help=CHANGING)
def start(c: FabContext, app: str = "", env: str = "", message: str = "", wait: str = "10") -> int:
    """Serve again after `fab stop`."""
    from cartwheel.run import ask

    answers = ask.start(scene_of(c, app, env, message=message, wait=wait))
    return _show.answers(
        answers,
        lambda one: f"{'started' if one['changed'] else 'runs'} {one['release']}",
    )


@task(help={**CHANGING, "keep": "How many releases to keep; default: deploy.keep_releases."})
def prune(
    c: FabContext, app: str = "", env: str = "", message: str = "", wait: str = "10", keep: str = ""
) -> int:
    """Remove old releases; never what serves, falls back or comes before."""
    from cartwheel.run import ask

    if keep and not keep.isdigit():
        raise UsageError("usage", f"--keep takes a number, not {keep!r}")
    scene = scene_of(c, app, env, message=message, wait=wait)
    return _show.answers(
        ask.prune(scene, int(keep) if keep else None),
        lambda one: "removed " + ", ".join(one["removed"]) if one["removed"] else "nothing to do",
    )


@task(help=CHANGING)
def packages(
    c: FabContext, app: str = "", env: str = "", message: str = "", wait: str = "10"
) -> int:
    """Install the system packages that host.packages names."""
    from cartwheel.run import ask

    return _show.answers(
        ask.packages(scene_of(c, app, env, message=message, wait=wait)),
        lambda one: (
            "installed " + ", ".join(one["installed"]) if one["installed"] else "nothing to do"
        ),
    )


@task(
    help={
        **CHANGING,
        "yes": "Do not ask.",
        "keep-shared": "Keep the app's own data (shared/), and the user that owns it.",
    }
)
def uninstall(
    c: FabContext,
    app: str = "",
    env: str = "",
    message: str = "",
    wait: str = "10",
    yes: bool = False,
    keep_shared: bool = False,
) -> int:
    """Take the app off the host; system packages stay. Asks first."""
    from cartwheel.run import ask

    scene = scene_of(c, app, env, message=message, wait=wait)
    name = scene.settings.slug
    what = "its releases" if keep_shared else "its releases and ALL ITS DATA in shared/"
    question = f"Remove {name}, {what}, from {', '.join(scene.hosts)}?"
    if not yes and not _show.confirmed(question, name):
        print("Nothing was changed.")
        return 1
    return _show.answers(
        ask.uninstall(scene, keep_shared=keep_shared),
        lambda one: "; ".join([*one["removed"], *(f"kept {path}" for path in one["kept"])]),
    )
