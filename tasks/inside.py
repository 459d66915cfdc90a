"""Words that run something in the serving release's environment, as the app's user."""

from __future__ import annotations

from cartwheel.errors import UsageError
from cartwheel.fab import FabContext, task

from ._scene import COMMON, scene_of


@task(help={**COMMON, "command": "What to run, for the host's shell."})
def run(c: FabContext, app: str = "", env: str = "", command: str = "") -> int:
    """Run a command in the serving release's environment; its exit code is passed on."""
    from cartwheel.run import ask
    from cartwheel.run.scene import raise_failures

    if not command.strip():
        raise UsageError("usage", "--command says what to run", hint='fab run --command "..."')
    scene = scene_of(c, app, env)
    several = len(scene.hosts) > 1

    def show(host: str, text: str) -> None:
        print(f"[{host}] {text}" if several else text, flush=True)

    answers = ask.run_command(scene, command, show)
    raise_failures(answers)
    codes = [one["status"] for one in answers.values() if isinstance(one, dict)]
    # A signal's number is negative here; shells say 128 + number.
    return max((code if code >= 0 else 128 - code for code in codes), default=0)


@task(help=COMMON)
def shell(c: FabContext, app: str = "", env: str = "") -> int:
    """An interactive shell in the serving release's environment, on one host."""
    from cartwheel.run.terminal import shell as open_shell

    scene = scene_of(c, app, env)
    if len(scene.hosts) != 1:
        raise UsageError("usage", "`shell` takes one host", hint="Name one with -H.")
    return open_shell(scene)
