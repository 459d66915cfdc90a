"""Tasks that run something in the live release's environment, as the app's user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.errors import UsageError
from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(quiet=True, help={"command": "Command for the host's shell."})
def run(scene: Scene, out: Output, command: str = "") -> int:
    """Run a command in the live release; exits with its code.

    It runs in the release's environment, as the app's user, on all hosts at the same time.
    With several hosts the exit code is the greatest one.
    """
    from cartwheel.commands import ask
    from cartwheel.commands.scene import raise_failures
    from cartwheel.fleet.sessions import successes

    if not command.strip():
        raise UsageError("usage", "--command is missing", hint='fab run --command "..."')
    several = len(scene.hosts) > 1

    def show(host: str, text: str) -> None:
        out.data(host, text, prefix=f"[{host}] " if several else "")

    answers = ask.run_command(scene, command, show)
    raise_failures(answers)
    codes = {host: one.status for host, one in successes(answers).items()}
    out.put(hosts=[{"host": host, "status": code} for host, code in codes.items()])
    # A signal's number is negative here; shells say 128 + number.
    return max((code if code >= 0 else 128 - code for code in codes.values()), default=0)


@app_task(json=False, quiet=True)
def shell(scene: Scene, out: Output) -> int:
    """Open a shell in the live release, on one host."""
    from cartwheel.commands import ask

    if len(scene.hosts) != 1:
        raise UsageError("usage", "`shell` takes one host", hint="Name one with -H.")
    return ask.shell(scene)
