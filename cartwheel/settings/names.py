"""Names on a host that are decided here: releases, users, groups, sites."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
from collections.abc import Container, Iterable

from cartwheel.host.layout import Layout
from cartwheel.host.web import kinds
from cartwheel.host.web.nginx import Nginx
from cartwheel.host.web.server import WebServer
from cartwheel.settings.toml_tables import Settings

NGINX = Nginx()  # a balancer of that kind is this one

_DIGEST_HEX = 8
_CUT_HEX = 5
_SHORT_HEX = 16
_FILE_HEX = 12
_USER_MAX = 26  # 32 in useradd(8), less "-http"
_VERSION_MAX = 28  # with digest and counter 40 characters (settings.checks.RELEASE_BYTES)


def release_name(version: str, parts: Iterable[str]) -> str:
    """The version and a digest of everything in the release: same content, same name.

    Only `[a-z0-9._]`, starting with a digit: systemd silently escapes `+` in unit names, and
    refuses `!`.
    """
    digest = hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:_DIGEST_HEX]
    plain = re.sub(r"[^a-z0-9._]", ".", version.lower())[:_VERSION_MAX].strip("._")
    return f"{plain if plain[:1].isdigit() else '0.' + plain}.{digest}"


def unspoilt(content: str, spoilt: Container[str]) -> str:
    """A name for a release of this content that no damaged release has: with a counter, because
    the damaged one may still be running (the host side's `content_of` removes the counter)."""
    names = (f"{content}_{number}" if number > 1 else content for number in itertools.count(1))
    return next(name for name in names if name not in spoilt)


def keyed_digest(key: str, text: str) -> str:
    """HMAC-SHA-256, hex: identifies a secret's value without letting anybody guess it."""
    return hmac.new(bytes.fromhex(key), text.encode(), hashlib.sha256).hexdigest()


def short_digest(key: str, text: str) -> str:
    """The same, shortened: enough to distinguish two values of one name."""
    return keyed_digest(key, text)[:_SHORT_HEX]


def user(settings: Settings) -> str:
    """The app's user on the host: as set, else APP with `-` for what users may not contain."""
    plain = settings.slug.replace(".", "-")
    if len(plain) > _USER_MAX:
        # Two cut names must differ: a digest of the whole name replaces the rest.
        digest = hashlib.sha256(plain.encode()).hexdigest()[:_CUT_HEX]
        plain = f"{plain[: _USER_MAX - _CUT_HEX - 1]}-{digest}"
    return settings.app.user or plain


def group(settings: Settings) -> str:
    """The group of the app's sockets; only the web server's user joins it."""
    return f"{user(settings)[:_USER_MAX]}-http"


def users_file(path: str) -> str:
    """The name on the host of the file of a path's users (`web.users` there)."""
    return hashlib.sha256(path.rstrip("/").encode()).hexdigest()[:_FILE_HEX]


def web_server(settings: Settings) -> WebServer:
    """The kind of web server in front of the application."""
    return web_server_named(settings.web.server)


def web_server_named(kind: str) -> WebServer:
    return kinds.named(kind)


def balancer_web_server() -> WebServer:
    """The kind of web server that passes requests on to hosts, whatever kind those have."""
    return NGINX


def for_balancer(settings: Settings) -> Settings:
    """The settings as the web server of a balancer needs them."""
    return settings.model_copy(
        update={"web": settings.web.model_copy(update={"server": balancer_web_server().name})}
    )


def site_path(settings: Settings) -> str:
    return str(web_server(settings).site(settings.slug))


def balancer_site_path(settings: Settings) -> str:
    """The path of a balancer's site. No application has this name: names have no `_`."""
    return str(NGINX.site(Layout(settings.slug).balancer_site))


def our_sites(settings: Settings) -> tuple[str, str]:
    """The paths of the application's site and of a balancer's; a host may have both."""
    return site_path(settings), balancer_site_path(settings)


def default_site(settings: Settings) -> str:
    return str(web_server(settings).default_site)
