"""Completion of command lines by the shell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.errors import UsageError
from cartwheel.fab import FabContext
from cartwheel.terminal.scene import plain_task

if TYPE_CHECKING:
    from cartwheel.terminal.show import Output


@plain_task(
    hosts="none", json=False, help={"shell": "bash, zsh or fish (default: the one of $SHELL)."}
)
def completion(c: FabContext, out: Output, shell: str = "") -> int:
    """Print a script that completes fab in a shell.

    It completes tasks, options, hosts, environments, apps and releases (docs/output.md).
    """
    from cartwheel.fab.completion import SCRIPTS

    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in SCRIPTS:
        known = ", ".join(SCRIPTS)
        raise UsageError("usage", f"--shell takes one of {known}, not {name!r}")
    out.say(SCRIPTS[name].rstrip())
    return 0
