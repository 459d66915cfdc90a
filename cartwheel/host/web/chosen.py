"""The kind of web server that an application has on this host."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from cartwheel.host.layout import Layout
from cartwheel.host.state import record
from cartwheel.host.web import kinds
from cartwheel.host.web.server import WebServer


def web_server(at: Layout) -> WebServer:
    """The kind that setup prepared; the usual one where the host is not set up."""
    return kinds.named(prepared_for(at))


def prepared_for(at: Layout) -> str:
    """The name of that kind; "" where the host is not set up."""
    known = record.read(at)
    return kinds.named(known.web_server).name if known else ""


def other_site(at: Layout, web: WebServer) -> Optional[Path]:
    """The application's site with another kind than this one; None if there is none."""
    sites = [kind.site(at.app) for kind in kinds.KINDS if kind.name != web.name]
    return next((site for site in sites if site.is_file()), None)
