"""Tasks for a host's nginx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(quiet=True)
def test(scene: Scene, out: Output) -> int:
    """Check nginx's configuration on the host."""
    from cartwheel.commands import ask

    return out.answers(ask.web_test(scene, "nginx"), lambda _one: "nginx configuration OK")


@app_task(changing=True)
def reload(scene: Scene, out: Output) -> int:
    """Check nginx's configuration, then reload nginx."""
    from cartwheel.commands import ask

    return out.answers(ask.web_reload(scene, "nginx"), lambda _one: "reloaded")
