"""The text of deploy_settings.py: what the settings of a Django project leave open. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cartwheel.settings.origin_checks import DJANGO_ORIGINS

NAME = "deploy_settings"
SETTINGS, SECRET_KEY, ORIGINS = "DJANGO_SETTINGS_MODULE", "DJANGO_SECRET_KEY", DJANGO_ORIGINS
STATIC_ROOT, SHARED = "STATIC_ROOT", "CARTWHEEL_SHARED"


@dataclass(frozen=True)
class Database:
    """An SQLite database that has to move to the shared folder; `unless` is a variable that names
    another database instead."""

    alias: str
    file: str
    unless: str = ""
    with_url: bool = False
    """Whether dj-database-url is there to read that variable."""
    is_only: bool = True
    """Whether the settings have no other database for this alias."""


@dataclass(frozen=True)
class Needs:
    """What the settings do not have, or have only for a developer's machine."""

    debug: bool = False
    secret_key: bool = False
    hosts: bool = False
    static: bool = False
    media: bool = False
    media_url: bool = False
    databases: tuple[Database, ...] = ()
    servers: tuple[str, ...] = ()
    """Aliases of databases of which the sources have the password."""
    proxy: bool = False
    origins: bool = False
    cookies: bool = False

    @property
    def any(self) -> bool:
        """Whether there is a reason to write the file; `proxy` alone is none."""
        simple = (self.debug, self.secret_key, self.hosts, self.static, self.media)
        return any(simple) or bool(self.databases or self.servers)


def prefix(alias: str) -> str:
    """How the variables of a database begin."""
    return "DATABASE" if alias == "default" else f"{alias.upper()}_DATABASE"


def text(settings: str, needs: Needs) -> str:
    """The module that imports these settings and adds what they need."""
    parts = ["\n".join(_head(settings, needs)), *_blocks(needs)]
    return "\n\n".join(parts) + "\n"


def _head(settings: str, needs: Needs) -> Iterator[str]:
    yield f'"""The settings of {settings}, and what differs on a host.'
    yield ""
    yield "Written once by `config.init`; it is yours to change. cartwheel.toml sets the variables"
    yield "that it reads, except CARTWHEEL_SHARED and STATIC_ROOT: those come from Cartwheel."
    yield '"""'
    yield ""
    yield "# flake8: noqa: F403, F405"
    yield ""
    yield "import os"
    if needs.databases or needs.media:
        yield "from pathlib import Path"
    if needs.hosts:
        yield "from urllib.parse import urlsplit"
    yield ""
    if any(one.with_url for one in needs.databases):
        yield "import dj_database_url"
        yield ""
    yield f"from {settings} import *"


def _blocks(needs: Needs) -> Iterator[str]:
    secrets = []
    if needs.debug:
        secrets.append('DEBUG = os.environ.get("DJANGO_DEBUG") == "1"')
    if needs.secret_key:
        secrets.append(f'SECRET_KEY = os.environ["{SECRET_KEY}"]')
    if secrets:
        yield "\n".join(secrets)
    if needs.hosts:
        yield "\n".join(_hosts(needs))
    if needs.proxy:
        yield (
            "# The web server in front says how a visitor came; a visitor cannot say so.\n"
            'SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")'
        )
    if needs.static:
        yield (
            "# `collectstatic` fills this folder in each deploy, and the web server serves it.\n"
            f'STATIC_ROOT = os.environ["{STATIC_ROOT}"]'
        )
    if needs.databases or needs.media:
        yield "\n".join(_shared(needs))
    for alias in needs.servers:
        yield "\n".join(_server(alias))


def _hosts(needs: Needs) -> Iterator[str]:
    yield '# Where visitors find the site: "https://shop.example.org https://www.shop.example.org".'
    yield f'ORIGINS = os.environ["{ORIGINS}"].split()'
    yield 'ALLOWED_HOSTS = [urlsplit(origin).hostname.replace("*.", ".") for origin in ORIGINS]'
    if needs.origins:
        yield "CSRF_TRUSTED_ORIGINS = ORIGINS"
    if needs.cookies:
        yield "# Over HTTPS, browsers must not send these cookies without it."
        yield 'HTTPS = all(origin.startswith("https://") for origin in ORIGINS)'
        yield "SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS"


def _shared(needs: Needs) -> Iterator[str]:
    yield "# What the site writes is in the shared folder, which outlives its releases."
    yield f'SHARED = Path(os.environ["{SHARED}"])'
    for one in needs.databases:
        which = f'DATABASES["{one.alias}"]'
        if one.with_url:
            yield f"{which} = dj_database_url.config("
            yield f"    default=f\"sqlite:///{{SHARED / '{one.file}'}}\", conn_max_age=600"
            yield ")"
        elif one.unless or not one.is_only:
            unless = f' and "{one.unless}" not in os.environ' if one.unless else ""
            yield f'if "sqlite3" in {which}["ENGINE"]{unless}:'
            yield f'    {which}["NAME"] = SHARED / "{one.file}"'
        else:
            yield f'{which}["NAME"] = SHARED / "{one.file}"'
    if needs.media:
        yield 'MEDIA_ROOT = SHARED / "media"'
    if needs.media_url:
        yield 'MEDIA_URL = "/media/"'


def _server(alias: str) -> Iterator[str]:
    name = f'f"{prefix(alias)}_{{key}}"'
    yield 'for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT"):'
    yield f"    if {name} in os.environ:"
    yield f'        DATABASES["{alias}"][key] = os.environ[{name}]'
