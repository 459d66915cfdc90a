"""What the web server serves itself: static files of a release, and media (docs/static.md)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from cartwheel.host.wire.manifest import STATIC_ROOT

from .layers import Key, Problem
from .validation import dotted

if TYPE_CHECKING:
    from .toml_tables import Settings, StaticFiles

_URL = re.compile(r"^/[A-Za-z0-9][A-Za-z0-9._~/-]*$")
_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_FOLDER = re.compile(rf"^{_PART}(/{_PART})*/?$")
STATIC_ROOT_TAKEN = (
    f"is reserved: web.static has a command, which finds its folder in {STATIC_ROOT}"
)


@dataclass(frozen=True)
class Mapping:
    """A URL that ends in `/`, and its folder among the installed packages; None: what the command
    made. `immutable`: every file's name changes with its content. `key` is its setting."""

    url: str
    folder: str | None
    immutable: bool
    key: Key


@dataclass(frozen=True)
class Media:
    """A URL that ends in `/`, and its folder in `shared/`."""

    url: str
    folder: str
    key: Key


def every(settings: Settings) -> list[Mapping | Media]:
    return [*static(settings), *media(settings)]


def static(settings: Settings) -> tuple[Mapping, ...]:
    """Every mapping of static files, that of `static_url` first."""
    web = settings.web
    found: list[Mapping] = []
    if web.static_url is not None and web.static_dir is not None:
        url, folder = _whole(web.static_url), _plain(web.static_dir)
        found.append(Mapping(url, folder, immutable=False, key=("web", "static_dir")))
    found += [
        Mapping(
            _whole(url),
            None if one.folder is None else _plain(one.folder),
            one.immutable,
            ("web", "static", url),
        )
        for url, one in web.static.items()
    ]
    return tuple(found)


def media(settings: Settings) -> tuple[Media, ...]:
    return tuple(
        Media(_whole(url), _plain(folder), ("web", "media", url))
        for url, folder in settings.web.media.items()
    )


def maker(settings: Settings) -> StaticFiles | None:
    """The mapping whose command makes the release's own static files."""
    return next((one for one in settings.web.static.values() if one.command is not None), None)


def folders(settings: Settings) -> tuple[str, ...]:
    """The served folders of packages."""
    return tuple(dict.fromkeys(one.folder for one in static(settings) if one.folder is not None))


def _whole(url: str) -> str:
    return url.rstrip("/") + "/"


def _plain(folder: str) -> str:
    return folder.strip("/")


# -- mistakes


def problems(settings: Settings) -> Iterator[Problem]:
    """Every mistake in these settings."""
    yield from _halves(settings)
    yield from _forms(settings)
    yield from _doubles(settings)
    yield from _hidden(settings)
    yield from _variables(settings)
    links = {name.removeprefix("shared/") for name in settings.files if name.startswith("shared/")}
    for one in media(settings):
        if one.folder.partition("/")[0] in links:
            yield one.key, f"shared/{one.folder} is a file of [files], which nobody may fetch"


def _halves(settings: Settings) -> Iterator[Problem]:
    web = settings.web
    if web.static_url is not None and web.static_dir is None:
        yield ("web", "static_url"), "web.static_dir is missing: the folder to serve"
    if web.static_dir is not None and web.static_url is None:
        yield ("web", "static_dir"), "web.static_url is missing: the path to serve the folder at"
    made = [url for url, one in web.static.items() if one.command is not None]
    for url in made[1:]:
        yield (
            ("web", "static", url, "command"),
            f'"{made[0]}" has a command too, and STATIC_ROOT is one folder: keep one of them',
        )


def _forms(settings: Settings) -> Iterator[Problem]:
    web = settings.web
    urls: list[tuple[Key, str]] = [
        *((("web", "static", url), url) for url in web.static),
        *((("web", "media", url), url) for url in web.media),
    ]
    if web.static_url is not None:
        urls.append((("web", "static_url"), web.static_url))
    for key, url in urls:
        if not _URL.match(url) or "//" in url or "/." in url:
            yield key, "expected a path below the site's root, e.g. /static/"
    inside: list[tuple[Key, str]] = [
        (("web", "static", url), one.folder) for url, one in web.static.items() if one.folder
    ]
    if web.static_dir is not None:
        inside.append((("web", "static_dir"), web.static_dir))
    for key, folder in inside:
        if not _is_folder(folder):
            yield key, "expected a folder inside the installed package, e.g. hello/static"
    for url, folder in web.media.items():
        if not _is_folder(folder):
            yield ("web", "media", url), "expected a folder in shared/ on the host, e.g. media"


def _is_folder(text: str) -> bool:
    return _FOLDER.match(text) is not None and ".." not in text.split("/")


def _doubles(settings: Settings) -> Iterator[Problem]:
    seen: dict[str, Key] = {}
    for one in every(settings):
        if one.url in seen:
            yield one.key, f"{one.url} is mapped twice, also by {dotted(seen[one.url])}"
        seen.setdefault(one.url, one.key)


def _hidden(settings: Settings) -> Iterator[Problem]:
    """A mapping takes every path below it away from the application."""
    health = settings.health
    asked = [(health.path, "health.path"), *((path, "health.also") for path in health.also)]
    for one in every(settings):
        for path, setting in asked:
            if one.url != "/" and unquote(path.partition("?")[0]).startswith(one.url):
                yield one.key, f"{one.url} hides {path} ({setting}), which the app must answer"


def _variables(settings: Settings) -> Iterator[Problem]:
    keys: list[Key] = [("env",), ("secrets",)]
    keys += [("processes", name, "env") for name in settings.processes]
    keys += [("timers", name, "env") for name in settings.timers]
    if maker(settings) is None:
        return
    tables: list[Collection[str]] = [settings.env, settings.secrets]
    tables += [one.env for one in settings.processes.values()]
    tables += [one.env for one in settings.timers.values()]
    for key, table in zip(keys, tables, strict=True):
        if STATIC_ROOT in table:
            yield (*key, STATIC_ROOT), STATIC_ROOT_TAKEN
    for name, one in settings.files.items():
        if one.variable == STATIC_ROOT:
            yield ("files", name, "variable"), STATIC_ROOT_TAKEN
