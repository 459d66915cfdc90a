"""The page of a monitor, here and for as long as the task runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task, number

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(
    quiet=True,
    more_roles=("balancer",),
    help={
        "port": "Port of 127.0.0.1 (default: 8500, or any free one).",
        "open": "Open it in your browser.",
    },
)
def dashboard(scene: Scene, out: Output, port: str = "", open: bool = False) -> int:
    """Show your hosts on a page of this machine.

    It looks at the hosts over your own SSH sessions, and asks the site, until Ctrl-C. It keeps what
    it has seen, tells nobody, and installs nothing. Only the printed address lets a browser in.
    """
    from cartwheel.commands.dashboard import dashboard as running

    with running(scene, number("port", port, least=1) if port else None) as found:
        out.say(f"{found.url}      (Ctrl-C ends it)")
        out.tell(type="dashboard", url=found.url)
        if open:
            found.open_browser()
        out.rest()
        found.wait()
    return 0
