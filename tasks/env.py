"""Tasks for the app's environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(name="list", quiet=True)
def list_variables(scene: Scene, out: Output) -> int:
    """List the app's variables and sources, without values."""
    from cartwheel.commands import ask

    return out.answer_table(
        ask.variables(scene), ("NAME", "FROM"), lambda one: sorted(one.names.items())
    )
