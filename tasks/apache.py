"""Tasks for a host's Apache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(quiet=True)
def test(scene: Scene, out: Output) -> int:
    """Check Apache's configuration on the host."""
    from cartwheel.commands import ask

    return out.answers(ask.web_test(scene, "apache"), lambda _one: "apache configuration OK")


@app_task(changing=True)
def reload(scene: Scene, out: Output) -> int:
    """Check Apache's configuration, then reload Apache."""
    from cartwheel.commands import ask

    return out.answers(ask.web_reload(scene, "apache"), lambda _one: "reloaded")
