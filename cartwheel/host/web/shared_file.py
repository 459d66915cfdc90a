"""The file of the web server's configuration that all sites on this host share; it goes with the
last application."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import List, Optional

from cartwheel.host.system import files
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.web import configuration
from cartwheel.host.web.kinds import KINDS
from cartwheel.host.web.server import WebServer


def is_whole(web: WebServer) -> bool:
    """Whether the file says what it should; also where none is needed."""
    path = _needed(web)
    try:
        return path is None or path.read_text(encoding="utf-8") == web.shared_text()
    except (OSError, ValueError):
        return False


def ensure(ctx: Context, web: WebServer) -> List[str]:
    """Write the file if it should be different; what changed, as text. The web server reads it
    when it reloads its sites. The caller holds the lock of what applications share.

    If the web server refuses the change, the file stays as it is: sites may do without it.
    """
    path = _needed(web)
    if path is None or is_whole(web):
        return []
    text = web.shared_text()
    try:
        configuration.check_staged(ctx, web, {str(path): text}, ())
    except OpError as error:
        ctx.emit("web server", "note", f"{path} stays as it is: {error.message}")
        return []
    files.write(path, text.encode())
    return [str(path)]


def remove() -> List[str]:
    """Remove it, of every kind; what there was."""
    paths = [kind.shared for kind in KINDS if kind.shared is not None]
    folders = [kind.own_folder for kind in KINDS if kind.own_folder is not None]
    gone = [path for path in paths if files.remove(path)]
    return [str(path) for path in (*gone, *(one for one in folders if files.remove_empty(one)))]


def _needed(web: WebServer) -> Optional[Path]:
    is_there = shutil.which(web.program) is not None
    path = web.shared if is_there else None
    return path if path is not None and path.parent.is_dir() else None
