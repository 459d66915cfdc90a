"""Checks of [tls] that need no file."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.settings import names
from cartwheel.settings.layers import Problem, why_not
from cartwheel.settings.toml_tables import Settings

_PAIRS = (("certificate", "key"), ("host_certificate", "host_key"))


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
        yield ("tls",), "tls.certificate is missing, or tls.host_certificate"
    if tls.ca is not None and tls.certificate is None:
        yield ("tls", "ca"), "is for the check of tls.certificate, which is missing"
    if tls.listen == settings.web.listen:
        yield ("tls", "listen"), f"web.listen is {tls.listen} too, the port of plain HTTP"
    for name in ("host_certificate", "host_key"):
        path = getattr(tls, name)
        if path is not None and (wrong := _path_problem(path)):
            yield ("tls", name), wrong


def _path_problem(path: str) -> str:
    if ".." in path.split("/") or path.endswith("/"):
        return "expected the absolute path of a file, without `..`"
    return why_not(names.web_server().word, path)
