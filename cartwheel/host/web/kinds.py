"""The list of web server kinds."""

from __future__ import annotations

from pathlib import Path
from typing import List, Tuple

from cartwheel.host.layout import UNITS, Layout
from cartwheel.host.web.apache import Apache
from cartwheel.host.web.nginx import Nginx
from cartwheel.host.web.server import WebServer

# A new kind is a file beside nginx.py, and an entry here. The first one is the usual one.
KINDS: Tuple[WebServer, ...] = (Nginx(), Apache())


def named(name: str) -> WebServer:
    """The kind with this name (`web.server`); the usual one for a name that is not known."""
    return next((kind for kind in KINDS if kind.name == name), KINDS[0])


def files_of(at: Layout) -> List[Path]:
    """Every file that an application may have among those of a web server: on a balancer there
    is a site more, and a drop-in of the unit."""
    names = (at.app, at.balancer_site)
    return [
        place
        for kind in KINDS
        for name in names
        for place in (kind.site(name), drop_in(kind, name))
    ]


def drop_in(web: WebServer, name: str) -> Path:
    """Cartwheel's drop-in for the web server's unit (systemd.unit(5))."""
    return UNITS / (web.unit + ".d") / f"cartwheel-{name}.conf"
