"""Checks of [tls] that need no file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from cartwheel.host.web.server import WebServer
from cartwheel.settings import names
from cartwheel.settings.layers import Problem, why_not
from cartwheel.settings.toml_tables import Settings

_PAIRS = (("certificate", "key"), ("host_certificate", "host_key"))
_FOR_ACME = ("directory", "mail")
# A name of a host that a certificate authority can check over HTTP.
_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.[a-z]([a-z0-9-]*[a-z0-9])?", re.IGNORECASE)
_MAIL = re.compile(r"[^\s@,]+@[^\s@,]+\.[^\s@,]+")
_URL_CHARACTERS = re.compile(r"[!-~]+")
FILES_INSTEAD = "get a certificate yourself, and name it in tls.certificate or tls.host_certificate"


def problems(settings: Settings) -> Iterator[Problem]:
    """Every mistake in [tls], by the key of its setting."""
    tls = settings.tls
    if not tls.model_fields_set:
        return
    for certificate, key in _PAIRS:
        given = [name for name in (certificate, key) if getattr(tls, name) is not None]
        if len(given) == 1:
            missing = key if given == [certificate] else certificate
            yield ("tls", given[0]), f"tls.{missing} is missing: one is of no use without the other"
    if tls.certificate is not None and tls.host_certificate is not None:
        yield (
            ("tls", "host_certificate"),
            "tls.certificate is also set; keep one of them: from this machine, or on the hosts",
        )
    if not tls.is_on and tls.key is None and tls.host_key is None:
        yield ("tls",), "tls.certificate is missing, or tls.host_certificate, or tls.acme"
    if tls.ca is not None and tls.certificate is None and not tls.acme:
        yield (
            ("tls", "ca"),
            "is for the check of tls.certificate, which is missing, or for tls.acme",
        )
    yield from _acme(settings) if tls.acme else _only_for_acme(settings)
    if tls.listen == settings.web.listen:
        yield ("tls", "listen"), f"web.listen is {tls.listen} too, the port of plain HTTP"
    for name in ("host_certificate", "host_key"):
        path = getattr(tls, name)
        if path is not None and (wrong := _path_problem(names.web_server(settings), path)):
            yield ("tls", name), wrong


def _only_for_acme(settings: Settings) -> Iterator[Problem]:
    for name in _FOR_ACME:
        if name in settings.tls.model_fields_set:
            yield ("tls", name), "is for a certificate authority, and tls.acme is not true"


def _acme(settings: Settings) -> Iterator[Problem]:
    tls = settings.tls
    for name in ("certificate", "host_certificate"):
        if getattr(tls, name) is not None:
            yield ("tls", "acme"), f"tls.{name} is also set; keep one of them"
    if not settings.web.server_names:
        yield ("tls", "acme"), "web.server_names is missing: the names that the certificate is for"
    for key in ("server_names", "redirect_names"):
        for number, name in enumerate(getattr(settings.web, key)):
            if not _HOST_NAME.fullmatch(name):
                why = "the authority could not check it over HTTP (tls.acme)"
                yield ("web", key, number), f"{name}: {why}; {FILES_INSTEAD}"
    if problem := _directory_problem(tls.directory):
        yield ("tls", "directory"), problem
    if tls.mail is not None and not _MAIL.fullmatch(tls.mail):
        yield ("tls", "mail"), f"{tls.mail!r} is not the address of one mailbox"


def _directory_problem(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_whole = False
    if not is_whole or not _URL_CHARACTERS.fullmatch(url) or parts.scheme != "https":
        return f"{url!r} is no URL that begins with https://"
    return ""


def _path_problem(web: WebServer, path: str) -> str:
    if ".." in path.split("/") or path.endswith("/"):
        return "expected the absolute path of a file, without `..`"
    return why_not(web.word, path)
