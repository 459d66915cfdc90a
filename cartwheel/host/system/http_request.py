"""HTTP requests to a store, with care for credentials. The same code runs at either end."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, Dict, Iterable, Optional, Tuple, Union

Login = Tuple[str, str]  # a name and its password

_SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}


def request(
    url: str,
    login: Optional[Login] = None,
    *,
    method: str = "GET",
    data: Union[bytes, Iterable[bytes], None] = None,
    headers: Optional[Dict[str, str]] = None,
) -> urllib.request.Request:
    """A request that sends the login at once, and only to the server of `url`."""
    if urllib.parse.urlsplit(url).scheme not in _SCHEMES:
        raise urllib.error.URLError(f"{shown(url)} is no address of http or https")
    made = urllib.request.Request(  # noqa: S310 - the scheme is checked
        url, data=data, headers={"User-Agent": "cartwheel", **(headers or {})}, method=method
    )
    if login is not None:
        word = base64.b64encode(":".join(login).encode()).decode()
        made.add_unredirected_header("Authorization", "Basic " + word)
    return made


def opener(*, follow: bool = True, stay: bool = False) -> urllib.request.OpenerDirector:
    """An opener for http and https only. A redirect raises HTTPError without `follow`; with `stay`,
    a redirect to another host does."""
    director = urllib.request.OpenerDirector()
    handlers = [
        _Proxies(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ]
    for handler in [*handlers, _Redirects(stay)] if follow else handlers:
        director.add_handler(handler)
    return director


def same_server(one: str, other: str) -> bool:
    """Whether both addresses have the same scheme, host and port."""
    return _server(one) == _server(other)


def shown(url: str) -> str:
    """`url` without its query, which may hold a token: for messages."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def status(error: urllib.error.HTTPError) -> str:
    """The status code and the server's reason, in one line."""
    return " ".join("{} {}".format(error.code, error.reason or "").split())


def reason(error: BaseException) -> str:
    """Why there is no answer, as text."""
    inner = getattr(error, "reason", error)
    words = str(getattr(inner, "strerror", None) or inner or type(inner).__name__)
    return " ".join(words.split())


def _server(url: str) -> Tuple[str, str, Optional[int]]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects within http and https; sends the login to the same server only."""

    max_redirections = 5

    def __init__(self, stay: bool) -> None:
        self._stay = stay

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> Optional[urllib.request.Request]:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if new.scheme not in _SCHEMES or (self._stay and new.hostname != old.hostname):
            raise urllib.error.HTTPError(
                req.full_url, code, "a redirect, which is refused", headers, fp
            )
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        word = req.unredirected_hdrs.get("Authorization")
        if following is not None and word and same_server(req.full_url, newurl):
            following.add_unredirected_header("Authorization", word)
        return following


class _Proxies(urllib.request.ProxyHandler):
    """The environment's proxies, but none for this machine itself."""

    def proxy_open(
        self, req: urllib.request.Request, proxy: str, type: str
    ) -> Optional[http.client.HTTPResponse]:
        if _is_loopback(urllib.parse.urlsplit(req.full_url).hostname or ""):
            return None
        answer: Optional[http.client.HTTPResponse] = super().proxy_open(req, proxy, type)
        return answer


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
