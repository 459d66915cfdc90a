"""The addresses of a site, each asked from this machine, as a visitor would."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

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
    """The site's first names, or else the addresses of its hosts, asked at the same time."""
    found = list(_addresses(scene))[:_MOST]
    asked: dict[str, Site] = {}

    def ask(scheme: str, host: str, port: int) -> None:
        url = _url(scheme, host, port)
        try:
            asked[url] = _answer(url, scheme, host, port)
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
    urls = [_url(*one) for one in found]
    return [asked.get(url, Site(url, problem="no answer in time")) for url in urls]


def _addresses(scene: Scene) -> Iterator[tuple[str, str, int]]:
    web = scene.settings.web
    # Behind a proxy that ends TLS the site has that proxy's port.
    secure = scene.settings.health.scheme == "https"
    names = [name for name in web.server_names if name[0] not in _NO_NAMES]
    for name in names:
        yield ("https", name, _PORTS["https"]) if secure else ("http", name, web.listen)
    if not names:
        hosts = [host for host in scene.chosen if scene.runs_app(host)]
        try:
            addresses = located(scene, hosts or scene.chosen)
        except CartwheelError:
            return
        for address in addresses.values():
            yield "http", address, web.listen


def _url(scheme: str, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("/" if port == _PORTS[scheme] else f":{port}/")


def _answer(url: str, scheme: str, host: str, port: int) -> Site:
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=SECONDS)
    try:
        connection.request("GET", "/", headers={"User-Agent": "cartwheel", "Connection": "close"})
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
