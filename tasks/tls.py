"""Tasks for HTTPS on the hosts, or on the balancers in front of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(quiet=True, any_role=True)
def status(scene: Scene, out: Output) -> int:
    """Show which certificates are served, and until when.

    SERVED is what a connection on the host itself shows, compared with the file.
    """
    from cartwheel.commands import tls
    from cartwheel.terminal.tls import HEADS, rows

    return out.answer_table(tls.status(scene), HEADS, rows)


@app_task(
    changing=True, any_role=True, help={"dry-run": "Ask for a certificate that is thrown away."}
)
def renew(scene: Scene, out: Output, dry_run: bool = False) -> int:
    """Ask the authority for a new certificate now (tls.acme).

    One host after the other asks; hosts renew their certificates by themselves. A dry run changes
    nothing that is served; with Let's Encrypt it asks the staging directory.
    """
    from cartwheel.commands import tls

    said = "the authority would give a certificate" if dry_run else "renewed"
    return out.answers(tls.renew(scene, dry_run=dry_run), lambda _one: said)
