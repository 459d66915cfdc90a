"""The addresses of a site, each asked from this machine, as a visitor would."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cartwheel.commands.scene import Scene, located
from cartwheel.errors import CartwheelError

SECONDS = 3.0  # for one address: it is asked after the deploy has ended
_MOST = 3  # addresses
_PORTS = {"http": 80, "https": 443}
_NO_NAMES = "*~_."  # how a server name begins that is no name of a host


@dataclass(frozen=True)
class Site:
    """An address to open, and what it answered; `problem` if nothing did. `status` is of `/`."""

    url: str
    status: int | None = None
    target: str = ""
    problem: str = ""


def sites(scene: Scene) -> list[Site]:
    """The site's first names, or else the addresses of its hosts, asked at the same time. None if
    no chosen host runs web."""
    found = list(_addresses(scene))[:_MOST]
    trusted = _trusted(scene) if any(scheme == "https" for scheme, *_ in found) else None
    asked: dict[str, Site] = {}
    path = f"{scene.settings.web.prefix}/"

    def ask(scheme: str, host: str, port: int) -> None:
        url = _url(scheme, host, port, path)
        try:
            asked[url] = _answer(url, scheme, host, port, path, trusted)
        except OSError as error:
            asked[url] = Site(url, problem=_reason(error))
        except http.client.HTTPException:
            asked[url] = Site(url, problem="no answer in HTTP")

    # A name server may take longer than any time limit of a socket.
    threads = [threading.Thread(target=ask, args=one, daemon=True) for one in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    urls = [_url(*one, path) for one in found]
    return [asked.get(url, Site(url, problem="no answer in time")) for url in urls]


def _addresses(scene: Scene) -> Iterator[tuple[str, str, int]]:
    hosts = [host for host in scene.chosen if scene.assigned(host.name).has_web]
    if not hosts:
        return
    web = scene.settings.web
    # Behind a proxy that ends TLS the site has that proxy's port.
    tls = scene.settings.tls
    secure = scene.settings.health.scheme == "https"
    port = tls.listen if tls.is_on else _PORTS["https"]
    names = [name for name in web.server_names if name[0] not in _NO_NAMES]
    for name in names:
        yield ("https", name, port) if secure or tls.is_on else ("http", name, web.listen)
    if not names:
        try:
            addresses = located(scene, hosts)
        except CartwheelError:
            return
        for address in addresses.values():
            yield "http", address, web.listen


def _url(scheme: str, host: str, port: int, path: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("" if port == _PORTS[scheme] else f":{port}") + path


def _trusted(scene: Scene) -> ssl.SSLContext:
    """The roots of this machine, and those of a private CA that the settings name."""
    trusted, ca = ssl.create_default_context(), scene.settings.tls.ca
    # From Python 3.13 on it is set, and refuses private CAs that browsers take.
    trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if ca is not None:
        with contextlib.suppress(OSError):
            trusted.load_verify_locations(scene.project / Path(ca).expanduser())
    return trusted


def _answer(
    url: str, scheme: str, host: str, port: int, path: str, trusted: ssl.SSLContext | None
) -> Site:
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    if scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=trusted)
    try:
        connection.request("GET", path, headers={"User-Agent": "cartwheel", "Connection": "close"})
        answer = connection.getresponse()
        return Site(url, answer.status, answer.getheader("Location") or "")
    finally:
        connection.close()


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "this name has no address (DNS)"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error)).lower()
