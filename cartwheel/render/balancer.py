"""nginx's site on a balancer: the hosts behind it, their weights, and which host replaces which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cartwheel.errors import UsageError
from cartwheel.host.layout import Layout
from cartwheel.plan.balancing import Member, socket_of
from cartwheel.settings import names

from .door import largest_body, longest_seconds
from .release import (
    SAMPLES,
    RenderedFile,
    TlsFacts,
    ident,
    proxy_seconds,
    render_tls_for,
    short_ident,
)
from .templates import Templates

if TYPE_CHECKING:
    from cartwheel.host.wire.facts import Facts
    from cartwheel.settings.toml_tables import Settings

# Number of other hosts to try if one accepts no connection.
_STAND_INS = 2
_TEMPLATE = "nginx-balancer.conf.j2"
_SAMPLE_FACTS = SAMPLES[0]  # HTTPS depends only on what is replaced in it
_SAMPLE = tuple(Member(f"web{n}", f"web{n}", f"192.0.2.{n}:80") for n in range(1, 4))


def render_balancer(
    settings: Settings,
    members: Sequence[Member],
    project: Path,
    *,
    ipv6: bool,
    siblings: Sequence[str] = (),
) -> RenderedFile:
    """The site for these members; `siblings`, as ADDRESS:PORT, are the other balancers. Raises
    UsageError("template")."""
    at, acme = _layout(settings), settings.tls.acme
    included = f"{at.tls_balancer_site.with_suffix('')}*.conf"
    values = {
        "settings": settings,
        "app": settings.slug,
        "ident": ident(settings.slug),
        "front": _front(settings),
        "tls_site": included,
        "acme_webroot": str(at.acme_webroot) if acme else None,
        "siblings": siblings if acme else (),
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
        # The hosts hold the rules for paths.
        "body_size": largest_body(settings),
        "proxy_seconds": longest_seconds(settings, proxy_seconds(settings)),
        "is_default": not settings.web.server_names,
        "ipv6": ipv6,
    }
    text = Templates(project).render(_TEMPLATE, values)
    if settings.tls.is_on and included not in text:
        message = f"{_TEMPLATE}: it does not include {included}, so it serves no HTTPS ([tls])"
        raise UsageError("template", message)
    return RenderedFile(names.balancer_site_path(settings), text, shared=True)


def render_balancer_tls(settings: Settings, facts: Facts, project: Path) -> str:
    """What that site includes to serve HTTPS on this host; "" if it serves none. Raises
    UsageError("template")."""
    if not settings.tls.is_on or settings.tls_end != "balancer":
        return ""
    settings = names.for_balancer(settings)
    known = replace(_SAMPLE_FACTS, ipv6=facts.host.ipv6, tls=TlsFacts.of(facts, settings))
    return render_tls_for(settings, known, project, {"ident": _front(settings)})


def _layout(settings: Settings) -> Layout:
    return Layout(settings.slug, Path(settings.host.base))


def _front(settings: Settings) -> str:
    """As `ident`, for the balancer's site: short, since its host may have both sites."""
    return short_ident(_layout(settings).balancer_site)


def check_balancer_template(settings: Settings, project: Path) -> None:
    """Render it for sample hosts. Raises as `render_balancer` does."""
    for ipv6 in (True, False):
        render_balancer(settings, _SAMPLE, project, ipv6=ipv6, siblings=("192.0.2.9:80",))
    for facts in SAMPLES:
        if settings.tls.is_on:
            render_tls_for(
                names.for_balancer(settings), facts, project, {"ident": _front(settings)}
            )


def _next(members: Sequence[Member], number: int) -> list[str]:
    """The addresses of the next hosts, in a ring."""
    around = [*members[number + 1 :], *members[:number]]
    return [member.address for member in around[:_STAND_INS]]
