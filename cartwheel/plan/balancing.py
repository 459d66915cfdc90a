"""The hosts behind a balancer, their names, and how many may be out at once; pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cartwheel.settings import names
from cartwheel.settings.checks import SOCKET_PATH_BYTES
from cartwheel.settings.toml_tables import Settings

if TYPE_CHECKING:
    from cartwheel.host.wire.balancer import Way
    from cartwheel.host.wire.facts import Facts

# The kinds that run on hosts with the role; the others are reached from the operator's machine.
ON_HOSTS = ("nginx", "haproxy")
_PLAIN = re.compile(r"^[A-Za-z0-9_.:@\[\]-]+\Z")
_UNPLAIN = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class Member:
    """A host behind the balancer. `server` is the balancer's name for it, `address` its HOST:PORT
    as the balancer reaches it."""

    name: str
    server: str
    address: str
    weight: int = 1


@dataclass(frozen=True)
class Socket:
    """A member's sockets: `link`, which exists while the host is in, leads to `path`, the web
    server's own socket for that member. The same with `open_` for what stays open for long."""

    link: str
    path: str
    open_link: str
    open_path: str


def socket_of(settings: Settings, member: Member) -> Socket:
    name = _UNPLAIN.sub(lambda found: f"%{ord(found[0]):02X}", member.server)
    links, sockets = f"{settings.root}/balancer", f"/run/cartwheel/.balancer.{settings.slug}"
    return Socket(
        link=f"{links}/{name}.sock",
        path=f"{sockets}/{name}.sock",
        open_link=f"{links}/{name}.open",
        open_path=f"{sockets}/{name}.open",
    )


def problem(settings: Settings, member: Member) -> str:
    """Why a balancer cannot use this host; "" if it can."""
    for text in (member.server, member.address):
        if not _PLAIN.match(text):
            return f"{text!r} is not allowed in a balancer's configuration"
    socket = socket_of(settings, member)
    excess = max(len(socket.link), len(socket.path)) - SOCKET_PATH_BYTES
    if excess > 0:
        return f"its name is too long by {excess} for a socket's path; set balancer_name"
    return ""


def ways(settings: Settings, members: Iterable[Member]) -> dict[str, Way]:
    """How the host side of a balancer takes each server out."""
    return {member.server: _WAYS[settings.balancer.kind](settings, member) for member in members}


def _nginx(settings: Settings, member: Member) -> Way:
    socket = socket_of(settings, member)
    site = names.balancer_site_path(settings)
    return {"kind": "nginx", **asdict(socket), "site": site}


def _haproxy(settings: Settings, member: Member) -> Way:
    return {
        "kind": "haproxy",
        "socket": settings.balancer.haproxy_socket,
        "backend": settings.balancer.haproxy_backend or "",
        "server": member.server,
    }


_WAYS = {"nginx": _nginx, "haproxy": _haproxy}


def has_site(settings: Settings) -> bool:
    """Whether the balancer is a web server that gets a site from Cartwheel."""
    return settings.balancer.kind == "nginx"


def balancer_site_changes(settings: Settings, facts: Facts, site: str) -> dict[str, str | None]:
    """The web server's files on a balancer: path -> text, or None to remove it. Without a server
    name the site answers for all names, instead of the distribution's own."""
    changes: dict[str, str | None] = {names.balancer_site_path(settings): site}
    port, default = settings.balancer.listen, str(names.NGINX.default_site)
    if not settings.web.server_names and any(
        server.file == default and port in server.ports for server in facts.servers
    ):
        changes[default] = None
    return changes


def emptied(batch: Collection[str], inside: Collection[str]) -> bool:
    """Whether the balancer would be empty while the batch is out of it."""
    return bool(inside) and set(inside) <= set(batch)


def to_take_out(hosts: Sequence[str], members: Collection[str]) -> list[str]:
    """The hosts of `hosts` that are behind the balancer, unless only one host is behind it."""
    return [host for host in hosts if host in members and len(members) > 1]


def filled(text: str, values: Mapping[str, str]) -> str:
    """`text` with each `{name}` replaced by its value, if there is one."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text
