"""Watch hosts on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task, number

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(
    quiet=True,
    help={
        "every": "Seconds between two looks (default 2).",
        "times": "End after so many looks; without it `q` or Ctrl-C ends.",
    },
)
def watch(scene: Scene, out: Output, every: str = "2", times: str = "") -> int:
    """Watch hosts: release, health, requests, memory, disk.

    Numbers are of the time since the last look; P50 and P95 are upper bounds. `q` ends it. --json
    prints a line for each host and look.
    """
    from cartwheel.commands.watching import Watching
    from cartwheel.terminal.watching import painter_of, repeat

    pause = number("every", every, least=1)
    looks = number("times", times, least=1) if times else None
    app, painter = scene.settings.slug, painter_of(out)
    with Watching(scene) as watching:
        repeat(lambda: painter.show(app, watching.look()), pause, looks)
    return 0
