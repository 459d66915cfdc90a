"""What the settings of a new project say about its Django site. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cartwheel.project import deploy_settings
from cartwheel.project.deploy_settings import prefix
from cartwheel.project.django import Site

_ANY = "*"  # without a server name the site answers to all names


@dataclass(frozen=True)
class Variable:
    """A variable of the environment, for [env]."""

    name: str
    value: str
    comment: str = ""


def variables(site: Site, server_names: Sequence[str], *, written: bool) -> Iterator[Variable]:
    """The variables that the site's settings read; `written` if deploy_settings.py is among
    them."""
    module = site.module if written else site.settings
    yield Variable(deploy_settings.SETTINGS, module)
    if site.has_origins or (written and site.needs.hosts):
        origins = " ".join(f"http://{name}" for name in server_names or (_ANY,))
        comment = "https:// once it has HTTPS ([tls])" + ("" if server_names else "; *: any name")
        yield Variable(deploy_settings.ORIGINS, origins, comment)
    elif site.names.hosts and server_names:
        value = site.names.between_hosts.join(server_names)
        yield Variable(site.names.hosts, value, "ALLOWED_HOSTS")
    if site.names.debug_off is not None and not (written and site.needs.debug):
        yield Variable(site.names.debug, site.names.debug_off)


def static(site: Site, *, written: bool) -> dict[str, object]:
    """[web.static]: what `collectstatic` makes; nothing while it would make it elsewhere."""
    command = {"command": f"{site.manage} collectstatic --noinput"}
    is_ready = bool(site.static_url) and (written or not site.needs.static)
    return {site.static_url: command} if is_ready else {}


def media(site: Site, *, written: bool) -> dict[str, object]:
    """[web.media]: uploads in the shared folder."""
    is_ready = bool(site.media_url) and (written or not site.needs.media)
    return {site.media_url: "media"} if is_ready else {}


def secret_key(site: Site, *, written: bool) -> str:
    """The variable of the secret key; "" if the sources have it."""
    needed = written and site.needs.secret_key
    return deploy_settings.SECRET_KEY if needed else site.names.secret_key


def left_to_do(site: Site, *, written: bool) -> Iterator[str]:
    """What a person has to change in the sources."""
    yield from (str(one) for one in site.problems if not one.repaired)
    if site.redirects:
        yield "Django redirects to HTTPS (SECURE_SSL_REDIRECT), so the site needs [tls]"
    for alias in site.needs.servers if written else ():
        yield (
            f"deploy_settings.py takes the database {alias} from {prefix(alias)}_NAME,"
            " _USER, _PASSWORD, _HOST and _PORT: set what differs under [env] and [secrets]"
        )
