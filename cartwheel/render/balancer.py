"""nginx's site on a balancer: the hosts behind it, their weights, and which host replaces which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.plan.balancing import Member, socket_of
from cartwheel.settings import names

from .release import RenderedFile, ident, proxy_seconds
from .templates import Templates

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Settings

# Number of other hosts to try if one accepts no connection.
_STAND_INS = 2
_SAMPLE = tuple(Member(f"web{n}", f"web{n}", f"192.0.2.{n}:80") for n in range(1, 4))


def render_balancer(
    settings: Settings, members: Sequence[Member], project: Path, *, ipv6: bool
) -> RenderedFile:
    """The site for these members. Raises UsageError("template")."""
    values = {
        "settings": settings,
        "app": settings.slug,
        "ident": ident(settings.slug),
        "links": f"{settings.root}/balancer",
        "members": [
            {
                "name": member.server,
                "address": member.address,
                "weight": member.weight,
                "socket": socket_of(settings, member),
                "others": _next(members, number),
            }
            for number, member in enumerate(members)
        ],
        "trusted_proxies": settings.web.trusted_proxies,
        "proxy_seconds": proxy_seconds(settings),
        "is_default": not settings.web.server_names,
        "ipv6": ipv6,
    }
    text = Templates(project).render("nginx-balancer.conf.j2", values)
    return RenderedFile(names.balancer_site_path(settings), text, shared=True)


def check_balancer_template(settings: Settings, project: Path) -> None:
    """Render it for sample hosts. Raises as `render_balancer` does."""
    for ipv6 in (True, False):
        render_balancer(settings, _SAMPLE, project, ipv6=ipv6)


def _next(members: Sequence[Member], number: int) -> list[str]:
    """The addresses of the next hosts, in a ring."""
    around = [*members[number + 1 :], *members[:number]]
    return [member.address for member in around[:_STAND_INS]]
