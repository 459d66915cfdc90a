"""What a monitor noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task, number

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(
    quiet=True,
    any_role=True,
    help={"show": "One incident, by its number, with all that is known.", "last": "How many (20)."},
)
def incidents(scene: Scene, out: Output, show: str = "", last: str = "20") -> int:
    """List what the monitor noticed: when, what, how long."""
    from cartwheel.commands import monitor
    from cartwheel.terminal.monitor import INCIDENT_HEADS, incident_lines, incident_rows

    which = number("show", show, least=1) if show else None
    found = monitor.incidents(scene, which, number("last", last, least=1))
    if which is not None:
        for line in incident_lines(found):
            out.say(line)
    elif found.get("incidents"):
        out.table(incident_rows(found), INCIDENT_HEADS)
    else:
        out.say("nothing was noticed so far")
    out.put(**{key: found[key] for key in found})
    return 0
