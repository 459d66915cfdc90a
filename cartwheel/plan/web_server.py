"""Judges whether a host's web server can serve the application's site; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.settings import names
from cartwheel.settings.toml_tables import Settings

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import Facts
    from cartwheel.host.wire.web import WebServing

# States of units that start with the host (systemctl(1), is-enabled); "static", "indirect" and
# "generated" units are started by something else.
STARTS_AT_BOOT = ("enabled", "static", "indirect", "generated", "alias")
# ActiveState of a running unit: every change of the site reloads the web server.
RUNS = ("active", "reloading")
# Of a file of Cartwheel's, in what a web server says.
_OURS = re.compile(r"(/[^\s:]*/cartwheel-[^\s:/]+):\d+")
# Fewer than this are soon held by open websockets.
_FEW_CLIENTS = 1000


def is_up(settings: Settings, facts: Facts) -> bool:
    """Whether it runs: its unit, or, started by hand, on the application's port."""
    holder = facts.ports.get(str(settings.web.listen))
    return facts.web.active in RUNS or holder == names.web_server(settings).program


def capacity_notes(settings: Settings, facts: Facts) -> Iterator[str]:
    """What its kind lets few visitors hold, if it is less than people expect."""
    web, clients, gunicorn = names.web_server(settings), facts.connections, settings.gunicorn
    if clients is not None and clients < _FEW_CLIENTS and gunicorn.serves != "wsgi":
        yield (
            f"{web.name} serves {clients} clients at once on this host, and each open websocket or"
            " stream is one of them"
        )
    if not web.buffers_answers and gunicorn.serves == "wsgi" and gunicorn.threads == 1:
        yield (
            f"{web.name} passes answers on as fast as visitors take them, and each slow one holds a"
            " worker: gunicorn.threads = 8 leaves room for others"
        )


def is_masked(web: WebServing) -> bool:
    """Whether somebody masked its unit: then nothing starts it."""
    return web.unit_file.startswith("masked")


def unread(web: WebServing) -> str:
    """The reason why it cannot read the application's site; "" if it can."""
    server = names.web_server_named(web.kind)
    folder = Path(server.site("app")).parent
    if not web.folder:
        return f"{folder} is missing, the folder of {server.name}'s sites"
    return "" if web.reads else f"{server.name} does not read {folder}: no `include` names it"


def shared_file(web: WebServing) -> str:
    """The path of the file that all sites of a host share."""
    return str(names.web_server_named(web.kind).shared)


def broken_by_us(web: WebServing) -> str:
    """The file of Cartwheel's that the web server refuses, because another file says the same; ""
    if it refuses none of them."""
    if not web.shared:
        return shared_file(web)
    named = _OURS.search(web.complaint)
    return named[1] if named else ""


def enabling(web: WebServing, host: str) -> str:
    """The command that lets it start at boot."""
    unit = names.web_server_named(web.kind).unit.removesuffix(".service")
    unmask = f"systemctl unmask {unit} && " if is_masked(web) else ""
    return f"`{unmask}systemctl enable {unit}` on {host}"


def broken(web: WebServing) -> str:
    """That somebody broke its configuration, which it still serves without; "" if nobody did."""
    if not web.complaint:
        return ""
    return f"{names.web_server_named(web.kind).name}'s configuration is broken: {web.complaint}"
