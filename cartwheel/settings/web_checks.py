"""Checks of [web.paths], of redirected names and of the user's own lines."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from cartwheel.settings import names
from cartwheel.settings.layers import Key, Problem
from cartwheel.settings.toml_tables import Settings, WebPath

MOST_PLACES = 50
# No quotes, blanks or marks of a web server's configuration; not percent-encoded.
_PART = r"[^\s/?#%\"'\\;{}$\x00-\x1f\x7f]+"
_PATH = re.compile(rf"/(?:{_PART}(?:/{_PART})*/?)?")
_OWN = ("/.cartwheel", "/.well-known/acme-challenge")
_FOLDER = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*/?$")


def problems(settings: Settings) -> Iterator[Problem]:
    """Every mistake, by the key of its setting."""
    yield from _redirect_names(settings)
    yield from _prefix(settings)
    yield from _paths(settings)
    yield from _extra(settings)
    yield from _rates(settings)
    folder = settings.web.error_pages
    if folder is not None and (not _FOLDER.match(folder) or ".." in folder.split("/")):
        what = "expected a folder inside the installed package, e.g. hello/errors"
        yield ("web", "error_pages"), what


def _redirect_names(settings: Settings) -> Iterator[Problem]:
    from cartwheel.settings.checks import server_name_problem

    web = settings.web
    given = web.redirect_names
    if given and not web.server_names:
        yield ("web", "redirect_names"), "web.server_names is missing: where to redirect to"
    if given and web.server_names and "*" in web.server_names[0]:
        what = f"the first of web.server_names, {web.server_names[0]}, is no name to redirect to"
        yield ("web", "redirect_names"), what
    for number, name in enumerate(given):
        key: Key = ("web", "redirect_names", number)
        if wrong := server_name_problem(name):
            yield key, wrong
        elif name in given[:number]:
            yield key, f"{name} is listed twice"
        elif name in web.server_names:
            yield key, f"{name} is one of web.server_names too"
    if settings.health.host in given:
        what = f"{settings.health.host} is redirected (web.redirect_names)"
        yield ("health", "host"), what


def _prefix(settings: Settings) -> Iterator[Problem]:
    prefix = settings.web.prefix
    for table, known in (("env", settings.env), ("secrets", settings.secrets)):
        if prefix and "SCRIPT_NAME" in known:
            yield (table, "SCRIPT_NAME"), f"web.prefix is {prefix}; keep one of them"


def _paths(settings: Settings) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for path, rule in settings.web.paths.items():
        key: Key = ("web", "paths", path)
        plain = path.rstrip("/").lower()
        if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
            yield key, "expected a path like /admin/, decoded, without `.` and `..`"
        elif plain in seen:
            yield key, f"is the same as {seen[plain]}: a rule holds for all spellings of its path"
        elif any(f"{plain}/".startswith(f"{own}/") for own in _OWN):
            yield key, "is Cartwheel's own: no rule holds there"
        seen.setdefault(plain, path)
        yield from _rule(key, rule)
    limited = [one for one in settings.web.paths.values() if one.has_limits]
    if len(limited) > MOST_PLACES:
        what = f"{len(limited)} paths have a size or a time limit, at most {MOST_PLACES} may"
        yield ("web", "paths"), what


def _rule(key: Key, rule: WebPath) -> Iterator[Problem]:
    if not rule.model_fields_set:
        yield key, "has no rule"
    if rule.public:
        for name in ("allow", "deny", "users"):
            if getattr(rule, name):
                yield (*key, name), "`public` is true too; keep one of them"
    known: dict[object, str] = {}
    for name in ("allow", "deny"):
        for number, text in enumerate(getattr(rule, name)):
            try:
                network = ipaddress.ip_network(text)
            except ValueError as error:
                yield (*key, name, number), f"expected an address or a network: {error}"
                continue
            if network in known:
                yield (*key, name, number), f"{text} is listed twice (in {known[network]})"
            known.setdefault(network, name)


def _rates(settings: Settings) -> Iterator[Problem]:
    web = names.web_server(settings)
    if web.limits_rates:
        return
    what = f"{web.name} cannot limit rates: leave it out, or let a proxy in front do it"
    if settings.web.rate_limit is not None:
        yield ("web", "rate_limit"), what
    for path, rule in settings.web.paths.items():
        if rule.rate_limit is not None:
            yield ("web", "paths", path, "rate_limit"), what


def _extra(settings: Settings) -> Iterator[Problem]:
    if settings.web.extra is not None:
        for line, what in names.web_server(settings).extra_problems(settings.web.extra):
            yield ("web", "extra"), f"line {line}: {what}"
