"""HTTPS of the monitor's page, out of [monitor] and [tls]; and its checks."""

from __future__ import annotations

from collections.abc import Iterator

from cartwheel.settings import tls_checks
from cartwheel.settings.layers import Problem
from cartwheel.settings.toml_tables import Settings, Tls, Web

_OWN = ("certificate", "key", "host_certificate", "host_key", "acme")
_OF_SITE = ("directory", "mail")


def tls(settings: Settings) -> Tls:
    """As a [tls] of the page's own."""
    monitor = settings.monitor
    given = {name: getattr(monitor, f"page_{name}") for name in _OWN}
    if monitor.page_acme:
        given |= settings.tls.model_dump(include=set(_OF_SITE), exclude_unset=True)
    if monitor.page_acme or monitor.page_certificate:
        given["ca"] = monitor.page_ca or settings.tls.ca
    return Tls(**{name: one for name, one in given.items() if one})


def problems(settings: Settings) -> Iterator[Problem]:
    """Every mistake in the settings of the page, by the key of its setting."""
    monitor = settings.monitor
    given = [f"page_{name}" for name in (*_OWN, "ca") if getattr(monitor, f"page_{name}")]
    if monitor.page is None:
        for name in given:
            yield ("monitor", name), "monitor.page is missing: the name of the page"
        if monitor.metrics is not None:
            yield ("monitor", "metrics"), "monitor.page is missing: /metrics is a part of the page"
        return
    page = settings.model_copy(
        update={"tls": tls(settings), "web": Web(server_names=(monitor.page,))}
    )
    if not page.tls.is_on and not given:
        yield (
            ("monitor", "page"),
            "the page has no HTTPS: set monitor.page_certificate, page_host_certificate or"
            " page_acme",
        )
    for key, text in tls_checks.problems(page):
        name = f"page_{key[-1]}" if key[0] == "tls" and key[-1] in _OWN else "page"
        words = text.replace("tls.", "monitor.page_") if key[-1] in _OWN else text
        yield ("monitor", name), words
