"""Lines of the user's own inside nginx's server block: what would end a promise is refused.

nginx itself tests the rest, together with the site, before anything changes.
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, Optional, Tuple

from cartwheel.host.web.nginx_config import TOKEN

_ENDS_ALL = "it would answer every request, so the application would get none"
_LOGS = "Cartwheel judges a release by the site's own logs"
_TWICE = "the site has it already"
_NO_EFFECT = "it would change nothing: the site's own locations have it"
_OUTSIDE = "it belongs to http { }, outside of a server block"
# What a directive of the server block would break, or what to use instead.
_REFUSED: Dict[str, str] = {
    "return": _ENDS_ALL,
    "listen": "use web.listen and tls.listen",
    "server_name": "use web.server_names and web.redirect_names",
    "access_log": _LOGS,
    "error_log": _LOGS,
    "merge_slashes": "rules for paths need it as it is",
    "underscores_in_headers": _TWICE,
    "server_tokens": _TWICE,
    "client_max_body_size": "use web.client_max_body_size, or [web.paths]",
    "client_header_timeout": "use web.header_timeout_seconds",
    "client_body_timeout": "use web.body_timeout_seconds",
    "error_page": "use web.error_pages",
    "allow": "use [web.paths]",
    "deny": "use [web.paths]",
    "satisfy": "use [web.paths]",
    "auth_basic": "use [web.paths]",
    "auth_basic_user_file": "use [web.paths]",
    "limit_req": "use web.rate_limit",
    "limit_req_status": "use web.rate_limit",
    "set_real_ip_from": "use web.trusted_proxies",
    "real_ip_header": "use web.trusted_proxies",
    "real_ip_recursive": "use web.trusted_proxies",
    "ssl_certificate": "use [tls]",
    "ssl_certificate_key": "use [tls]",
    "http2": "[tls] turns it on",
    **dict.fromkeys(
        ("proxy_set_header", "proxy_hide_header", "proxy_redirect", "proxy_http_version"),
        _NO_EFFECT,
    ),
    **dict.fromkeys(
        ("proxy_connect_timeout", "proxy_send_timeout", "proxy_next_upstream"), _NO_EFFECT
    ),
    "proxy_read_timeout": "use timeout_seconds in [web.paths]",
    **dict.fromkeys(
        ("map", "geo", "upstream", "server", "log_format", "limit_req_zone", "limit_conn_zone"),
        _OUTSIDE,
    ),
    **dict.fromkeys(("http", "events", "proxy_cache_path", "split_clients"), _OUTSIDE),
}
# Whatever it brings was not there when the site was tested, and may change later.
_INCLUDE = "write the lines themselves here: what is included could change later, untested"
# Locations that would take every request, or what is Cartwheel's own.
_EVERYTHING = re.compile(r"\^?/?(?:\.[*+]?\$?)?")
_OWN = re.compile(r"@cartwheel|\^?\\?/\\?\.cartwheel|/\.well-known/acme-challenge")


def problems(text: str) -> Iterator[Tuple[int, str]]:
    """Each mistake, with the number of its line in the text."""
    words: List[str] = []
    opened: List[Tuple[str, int]] = []
    began = 1
    for kind, token, line in _tokens(text):
        if kind == "lost":
            yield line, f"a {token} that nothing ends"
            return
        if kind == "word":
            began = began if words else line
            words.append(token)
            continue
        problem = _problem(words, [name for name, _line in opened]) if words else None
        if problem:
            yield began, f"{words[0]}: {problem}"
        if token == "{":
            opened.append((words[0] if words else "", began if words else line))
        elif words and token == "}":
            yield began, f"{words[0]}: the `;` at its end is missing"
        if token == "}" and not opened:
            yield line, "a `}` too many: it would close the server block"
            return
        if token == "}":
            opened.pop()
        words = []
    if words:
        yield began, f"{words[0]}: the `;` at its end is missing"
    for name, line in opened:
        yield line, f"{name}: its `{{` is not closed"


def _problem(words: List[str], inside: List[str]) -> Optional[str]:
    name = words[0]
    if name == "include":
        return _INCLUDE
    if inside:
        return None
    if name == "location":
        path = words[-1]
        if _OWN.match(path):
            return f"{path} is Cartwheel's own"
        is_all = len(words) > 1 and words[1] != "=" and _EVERYTHING.fullmatch(path)
        return _ENDS_ALL if is_all else None
    return _REFUSED.get(name)


def _tokens(text: str) -> Iterator[Tuple[str, str, int]]:
    """(kind, text, line) of every word and mark; `lost` is a quote or backslash at its place."""
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        line = text.count("\n", 0, at) + 1
        if match is None:
            yield "lost", text[at], line
            return
        at = match.end()
        quoted = match.group("double") or match.group("single")
        if quoted:
            yield "word", quoted[1:-1], line
        elif match.group("mark"):
            yield "mark", match.group("mark"), line
        elif match.group("word"):
            yield "word", match.group("word"), line
