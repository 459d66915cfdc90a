"""Tasks for HTTPS on the hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cartwheel.terminal.scene import app_task

if TYPE_CHECKING:
    from cartwheel.commands.scene import Scene
    from cartwheel.terminal.show import Output


@app_task(quiet=True)
def status(scene: Scene, out: Output) -> int:
    """Show the certificate that each host serves, and until when.

    SERVED is what a connection on the host itself shows, compared with the file.
    """
    from cartwheel.commands import tls
    from cartwheel.terminal.tls import HEADS, rows

    return out.answer_table(tls.status(scene), HEADS, rows)
