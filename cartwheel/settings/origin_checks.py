"""Checks DJANGO_ORIGINS, which deploy_settings.py reads (docs/django.md), against the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .layers import Problem

if TYPE_CHECKING:
    from .toml_tables import Settings

DJANGO_ORIGINS = "DJANGO_ORIGINS"
_ORIGIN = re.compile(
    r"^(?P<scheme>https?)://(?P<host>\*|(\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d+)?$"
)
_ANY = "*"


def problems(settings: Settings) -> Iterator[Problem]:
    """What Django would answer with an error, or serve less safely than the site can."""
    key = ("env", DJANGO_ORIGINS)
    said = settings.env.get(DJANGO_ORIGINS)
    if said is None:
        return
    found = {one: _ORIGIN.match(one) for one in said.split()}
    for one in (one for one, match in found.items() if match is None):
        yield key, f"expected origins as a browser shows them, e.g. https://a.example; got {one!r}"
    origins = {one: match for one, match in found.items() if match is not None}
    hosts = {match["host"] for match in origins.values()}
    for name in settings.web.server_names:
        if not hosts & {name, _ANY}:
            yield key, f"lacks {name} of web.server_names, which Django would answer with 400"
    for one, match in origins.items():
        if match["scheme"] == "http" and settings.tls.is_on and settings.tls.redirect:
            yield key, f"the site has HTTPS ([tls]): write https instead of http in {one}"
