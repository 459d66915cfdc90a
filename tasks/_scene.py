"""From a task's context and its common options to a scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.errors import UsageError
from cartwheel.fab import FabContext

from . import _show

if TYPE_CHECKING:
    from cartwheel.run.scene import Scene

COMMON = {
    "app": "Which application, where config/apps/ has several.",
    "env": "Which environment: config/environments/NAME.toml.",
}
CHANGING = {
    **COMMON,
    "message": "Why; it is shown to whoever meets the lock, and kept in the history.",
    "wait": "Seconds to wait for somebody else's lock.",
}


def scene_of(
    c: FabContext,
    app: str,
    env: str,
    *,
    message: str = "",
    wait: str = "0",
    needs_hosts: bool = True,
) -> Scene:
    """Load the settings and find the hosts. Raises UsageError before anything connects."""
    from dataclasses import replace

    from cartwheel.run.scene import make_scene

    scene = make_scene(
        c.project,
        app=app or None,
        env=env or None,
        hosts=c.hosts,
        ssh_options=c.ssh_options,
        emit=_show.line,
        message=message,
        lock_wait_seconds=_seconds(wait),
    )
    if needs_hosts:
        return replace(scene, hosts=c.require_hosts(scene.settings.hosts))
    return scene


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError("usage", f"--wait takes seconds, not {text!r}") from None
