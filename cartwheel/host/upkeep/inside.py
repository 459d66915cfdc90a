"""The live release's environment: its variables, and commands run in it."""

from __future__ import annotations

from cartwheel.host import enter
from cartwheel.host.state import environment, releases
from cartwheel.host.system import children
from cartwheel.host.system.context import Context
from cartwheel.host.wire.manifest import Variable
from cartwheel.host.wire.output import AskVariables, Ran, Run, Variables

_NO_DEADLINE_SECONDS = 365 * 86400.0


def run(ctx: Context, request: Run) -> Ran:
    """Run a command in the live release's environment, as the app's user; its output is events."""
    at = ctx.at
    release = enter.serving_release(at)
    values = environment.of_release(at, release)
    done = children.run(
        ctx,
        ["/bin/sh", "-c", request.command],
        timeout_seconds=_NO_DEADLINE_SECONDS,
        env=values,
        user=environment.app_user(at),
        cwd=str(at.shared),
        umask=0o027,
        on_line=lambda line: ctx.emit("output", "note", line),
    )
    return Ran(done.status, release)


def variables(ctx: Context, request: AskVariables) -> Variables:
    """The names of the live release's variables, and the source of each; no values."""
    at = ctx.at
    release = enter.serving_release(at)
    known, names = releases.manifest(at, release).env, sorted(environment.variables(at, release))
    return Variables(release, {name: known.get(name, Variable()).source for name in names})
