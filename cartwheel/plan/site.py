"""The application's site among the others of its host: the web server's files that must change,
and conflicts with the names or ports of other sites; pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cartwheel.plan import web_server
from cartwheel.plan.host_plan import Refusal
from cartwheel.settings import names
from cartwheel.settings.toml_tables import Settings

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import Facts, Server


def site_changes(settings: Settings, facts: Facts, site: str) -> dict[str, str | None]:
    """Shared files of the web server that must change: path -> text, or None to remove it."""
    path = names.site_path(settings)
    changes: dict[str, str | None] = {}
    is_same = facts.files.get(path) == hashlib.sha256(site.encode()).hexdigest()
    # A change of the site starts the web server, and comes with the file that all sites share.
    if not is_same or not web_server.is_up(settings, facts) or not facts.web.shared:
        changes[path] = site
    distribution = [
        server
        for server in _other_servers(settings, facts)
        if server.file == names.default_site(settings) and settings.web.listen in server.ports
    ]
    # An app without a name answers for every name; `site_refusals` checks that it may.
    if not settings.web.server_names and distribution:
        changes[names.default_site(settings)] = None
    return changes


def site_removal(settings: Settings, facts: Facts) -> dict[str, str | None]:
    """The same for a host that runs no web: the site that it had goes, and nothing else changes."""
    path = names.site_path(settings)
    return {} if facts.files.get(path) is None else {path: None}


def site_refusals(settings: Settings, facts: Facts) -> tuple[Refusal, ...]:
    """Refuse names of another site: a web server only warns, and uses the site it read first."""
    others = [
        server for server in _other_servers(settings, facts) if settings.web.listen in server.ports
    ]
    found = [
        Refusal("server-name-taken", f"{server.file} already has the server name {name}")
        for name in settings.web.names
        for server in others
        if name.lower() in server.names
    ]
    default = next(
        (server for server in others if settings.web.listen in server.default_ports), None
    )
    if not settings.web.server_names and default and default.file != names.default_site(settings):
        found.append(
            Refusal(
                "server-name-needed",
                f"web.server_names is empty, and {default.file} is already the default site",
            )
        )
    return tuple(found)


def _other_servers(settings: Settings, facts: Facts) -> list[Server]:
    ours = names.site_path(settings)
    return [server for server in facts.servers if server.file != ours]
