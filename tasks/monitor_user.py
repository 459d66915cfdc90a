"""Who may see the monitor's page."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(changing=True, any_role=True, positional=["name"], help={"name": "The user's name."})
def add(scene: Scene, out: Output, name: str) -> int:
    """Let somebody see the monitor's page.

    It asks for a password; without a terminal it reads one line. A user who is there gets the new
    password, and has to log in again. The host gets a hash of it only.
    """
    from cartwheel.commands import monitor_users

    monitor_users.add(scene, name, _password(out))
    out.say(f"{name} may see the page; run it again for another password")
    return 0


@app_task(changing=True, any_role=True, positional=["name"], help={"name": "The user's name."})
def remove(scene: Scene, out: Output, name: str) -> int:
    """Let somebody see the monitor's page no more."""
    from cartwheel.commands import monitor_users

    was_there = monitor_users.remove(scene, name)
    out.say(f"{name} may not see the page" + ("" if was_there else "; there was no such user"))
    return 0 if was_there else 1


def _password(out: Output) -> str:
    """Asked for twice on a terminal, so that nobody is locked out by a slip."""
    from cartwheel.errors import UsageError

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = out.asked_in_secret("Password: ")
    if out.asked_in_secret("Once more: ") != first:
        raise UsageError("usage", "the two passwords differ", hint="Run it again.")
    return first
