"""Tell people by their messengers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(quiet=True, hosts="none")
def test(scene: Scene, out: Output) -> int:
    """Send a test message to every messenger of [notify].

    Exits with 1 if one does not take it. Addresses are never shown.
    """
    from cartwheel.commands import notifying

    found = notifying.test(scene)
    out.table([(name, problem or "told") for name, problem in found.items()], ("MESSENGER", ""))
    out.put(told={name: not problem for name, problem in found.items()}, problems=found)
    return 1 if any(found.values()) else 0
