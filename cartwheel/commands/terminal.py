"""`fab shell`: a terminal in the live release's environment."""

from __future__ import annotations

from cartwheel.commands.scene import Scene, targets


def shell(scene: Scene) -> int:
    """Open a shell on the scene's only host; its exit status."""
    from cartwheel.ssh.connection import Gateways, StrictConnection
    from cartwheel.ssh.execute import interactive

    gateways = Gateways()
    connection = StrictConnection(targets(scene)[scene.hosts[0]], gateways)
    try:
        enter = f"/usr/local/lib/cartwheel/{scene.settings.slug}/enter"
        return interactive(connection, (enter,))
    finally:
        connection.close()
        gateways.close()
