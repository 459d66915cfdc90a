"""What is known about hosts without connecting to them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(quiet=True, any_role=True)
def inventory(scene: Scene, out: Output) -> int:
    """Show hosts, roles, groups, and where each comes from.

    All known hosts, or those that -H, --role, --limit and --exclude select. Connects to nothing;
    `-` is left to ssh_config or a default.
    """
    rows = [
        (
            host.name,
            host.address or "-",
            host.user or "-",
            str(host.port or "-"),
            ",".join(host.roles) or "-",
            ",".join(host.groups) or "-",
            host.gateway or "-",
            str(host.weight),
            host.source,
        )
        for host in scene.chosen
    ]
    heads = ("HOST", "ADDRESS", "USER", "PORT", "ROLES", "GROUPS", "GATEWAY", "WEIGHT", "FROM")
    out.table(rows, heads)
    out.put(hosts=[{"host": host.name, **asdict(host)} for host in scene.chosen])
    return 0
