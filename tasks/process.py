"""Tasks for single processes of the application, besides web."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task, names

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.host.wire.processes import Handled
    from cartwheel.terminal.show import Output

_NAME = {"name": "Processes, comma-separated, by their names in [processes]."}


@app_task(changing=True, help=_NAME)
def restart(scene: Scene, out: Output, name: str = "") -> int:
    """Restart processes other than web gracefully.

    New instances start beside the old ones, which finish their jobs. If the new ones do not get
    ready, the old ones go on. A process that must not run twice ends first, so it cannot go on.
    """
    from cartwheel.commands import processes

    chosen = processes.checked(scene, "restart", names("name", name))
    return out.answers(processes.restart(scene, chosen), _told(chosen, "restarted", ""))


@app_task(changing=True, help=_NAME)
def stop(scene: Scene, out: Output, name: str = "") -> int:
    """Stop processes until process.start, across deploys.

    They finish their jobs, and do not start again at a reboot, a deploy or a rollback; `fab ps`,
    `fab status` and `fab plan` show it, with the reason that --message gives.
    """
    from cartwheel.commands import processes

    chosen = processes.checked(scene, "stop", names("name", name))
    return out.answers(processes.stop(scene, chosen), _told(chosen, "stopped", "already stopped"))


@app_task(changing=True, help=_NAME)
def start(scene: Scene, out: Output, name: str = "") -> int:
    """Start processes again after process.stop."""
    from cartwheel.commands import processes

    chosen = processes.checked(scene, "start", names("name", name))
    return out.answers(processes.start(scene, chosen), _told(chosen, "started", "already running"))


def _told(chosen: tuple[str, ...], done: str, unchanged: str) -> Callable[[Handled], str]:
    """What happened on a host, in one line."""
    from cartwheel.terminal.processes import draining_lines

    def told(one: Handled) -> str:
        parts = [f"{done if one.changed else unchanged}: {', '.join(one.names)}"] * bool(one.names)
        parts += [f"{name}: {holder} has it" for name, holder in one.elsewhere.items()]
        others = [name for name in chosen if name not in (*one.names, *one.elsewhere)]
        parts += [f"{', '.join(others)}: not on this host"] if others else []
        parts += draining_lines(one.draining)
        return "; ".join(parts)

    return told
