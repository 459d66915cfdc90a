"""Words that run something in the serving release's environment, as the app's user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.errors import UsageError
from cartwheel.terminal.scene import word

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@word(quiet=True, help={"command": "What to run, for the host's shell."})
def run(scene: Scene, out: Output, command: str = "") -> int:
    """Run a command in the serving release; passes its code on.

    It runs in the release's environment, as the app's user, on every host side by side.
    The exit code is the command's own, the greatest one of several hosts.
    """
    from cartwheel.commands import ask
    from cartwheel.commands.scene import raise_failures
    from cartwheel.fleet.sessions import successes

    if not command.strip():
        raise UsageError("usage", "--command says what to run", hint='fab run --command "..."')
    several = len(scene.hosts) > 1

    def show(host: str, text: str) -> None:
        out.data(host, text, prefix=f"[{host}] " if several else "")

    answers = ask.run_command(scene, command, show)
    raise_failures(answers)
    codes = {host: one.status for host, one in successes(answers).items()}
    out.put(hosts=[{"host": host, "status": code} for host, code in codes.items()])
    # A signal's number is negative here; shells say 128 + number.
    return max((code if code >= 0 else 128 - code for code in codes.values()), default=0)


@word(json=False, quiet=True)
def shell(scene: Scene, out: Output) -> int:
    """An interactive shell in the serving release, on one host."""
    from cartwheel.commands.terminal import shell as open_shell

    if len(scene.hosts) != 1:
        raise UsageError("usage", "`shell` takes one host", hint="Name one with -H.")
    return open_shell(scene)
