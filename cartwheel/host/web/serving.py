"""Whether the web server can serve an application's site. Changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Optional

from cartwheel.host.layout import Layout
from cartwheel.host.system import files
from cartwheel.host.system.context import OpError
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.web import configuration, front_door, shared_file
from cartwheel.host.web.server import WebServer
from cartwheel.host.wire.web import WebServing


def look(at: Layout, web: WebServer, state: Optional[UnitState]) -> WebServing:
    """The web server's state; `state` is that of its unit, None without systemd. The web server
    checks its own configuration."""
    site = web.site(at.app)
    there = shutil.which(web.program) is not None
    said = _complaint(web, site) if there else ""
    return WebServing(
        kind=web.name,
        active=state.active if state else "",
        unit_file=state.unit_file if state and there else "",
        site=site.is_file(),
        token=front_door.known_token(at) is not None,
        folder=site.parent.is_dir(),
        reads=not there or web.reads(site),
        complaint=web.complaint(said) if said else "",
        shared=shared_file.is_whole(web),
    )


def _complaint(web: WebServer, site: Path) -> str:
    if files.is_no_file(site):
        return ""  # it would wait for a pipe for ever; a deploy refuses it
    try:
        return configuration.check(None, web)
    except OpError as error:
        return error.message
