"""Tasks that close the site for visitors, and open it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task, names, number

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(
    changing=True,
    help={
        "retry-after": "Minutes until visitors should try again (default 10): Retry-After.",
        "allow": "Addresses and networks that see the app all the same, comma-separated.",
    },
)
def on(scene: Scene, out: Output, retry_after: str = "", allow: str = "") -> int:
    """Close the site for visitors, who get a page.

    They get 503, from all hosts that run web or from none. The health check passes, so balancers
    keep the hosts; deploys go on behind it, and it outlives reboots, until maintenance.off.
    """
    from cartwheel.commands import maintenance
    from cartwheel.terminal.maintenance import told_closed

    minutes = number("retry-after", retry_after, least=1) if retry_after else 0
    found = maintenance.turn_on(scene, minutes, names("allow", allow))
    return out.answers(found, told_closed)


@app_task(changing=True)
def off(scene: Scene, out: Output) -> int:
    """Open the site for visitors again."""
    from cartwheel.commands import maintenance
    from cartwheel.terminal.maintenance import told_open

    return out.answers(maintenance.turn_off(scene), told_open)
