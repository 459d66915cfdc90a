"""The file of the web server's configuration that all sites on this host share; it goes with the
last application."""

from __future__ import annotations

import shutil
from typing import List

from cartwheel.host.system import files
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web import configuration
from cartwheel.host.web.kinds import KINDS
from cartwheel.host.web.server import WebServer


def is_whole(web: WebServer) -> bool:
    """Whether the file says what it should; also where there is no web server, and so no file."""
    if not _has(web):
        return True
    try:
        return web.shared.read_text(encoding="utf-8") == web.shared_text()
    except (OSError, ValueError):
        return False


def ensure(ctx: Context, web: WebServer) -> List[str]:
    """Write the file if it should be different; what changed, as text. The web server reads it
    when it reloads its sites. The caller holds the lock of what applications share.

    If the web server refuses the change, the file stays as it is: sites may do without it.
    """
    if is_whole(web):
        return []
    text = web.shared_text()
    try:
        configuration.check_staged(ctx, web, {str(web.shared): text}, ())
    except OpError as error:
        ctx.emit("web server", "note", f"{web.shared} stays as it is: {error.message}")
        return []
    files.write(web.shared, text.encode())
    return [str(web.shared)]


def remove() -> List[str]:
    """Remove it, of every kind; what there was."""
    return [str(kind.shared) for kind in KINDS if files.remove(kind.shared)]


def _has(web: WebServer) -> bool:
    return shutil.which(web.program) is not None and web.shared.parent.is_dir()
