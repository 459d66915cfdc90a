"""What a host has for TLS, and what it serves. Changes nothing.

TLS ends in the application's site, or in that of the balancer on this host: each includes a file of
its own, and the one that says something is the end. A certificate that a deploy has brought is in a
folder of its own, and the link `live` names the one in use.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from pathlib import Path
from typing import List, Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.system import files
from cartwheel.host.web import order
from cartwheel.host.web.chosen import web_server
from cartwheel.host.web.server import TlsSite
from cartwheel.host.wire.tls import End, TlsState

ENDS: Tuple[End, ...] = ("app", "balancer")
SET = re.compile(r"[0-9a-f]{12}")
_SECONDS = 5.0
_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def file_of(at: Layout, end: End) -> Path:
    """The file that this site includes."""
    return at.tls_site if end == "app" else at.tls_balancer_site


def text_of(at: Layout, end: End) -> str:
    """What this site includes; "" for nothing."""
    path = file_of(at, end)
    try:
        return "" if files.is_no_file(path) else path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def end_of(at: Layout) -> Optional[End]:
    """The site in which TLS ends; None if there is no TLS."""
    return next((end for end in ENDS if text_of(at, end)), None)


def site_text(at: Layout) -> str:
    """What that site includes; "" for nothing."""
    return next((text for end in ENDS if (text := text_of(at, end))), "")


def served_as(at: Layout) -> Optional[TlsSite]:
    """How TLS should be served; None if it should not."""
    text = site_text(at)
    return web_server(at).tls_of(text) if text else None


def certificate_in(path: Path) -> str:
    """The first certificate in a file; "" if there is none."""
    try:
        text = "" if files.is_no_file(path) else path.read_text(errors="replace")
    except OSError:
        return ""
    found = _FIRST.search(text)
    try:  # in one form, so that texts can be compared
        return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(found.group())) if found else ""
    except ValueError:
        return ""


def sets(at: Layout) -> List[str]:
    """The folders of certificates that deploys have brought."""
    return [name for name in files.names(at.tls) if SET.fullmatch(name)]


def state(at: Layout) -> Optional[TlsState]:
    """How TLS is served, by a handshake; None where there is no TLS, and no authority is asked."""
    how, kept = served_as(at), order.read(at)
    directory, failed = kept.order.directory if kept else "", order.failed(at)
    if how is None:
        if kept is None:
            return None
        why = "there is no certificate yet"
        return TlsState("", 0, True, "", "", why, time.time(), directory, failed, kept.end)
    certificate, served, problem = certificate_in(how.certificate), "", ""
    if not certificate:
        problem = f"{how.certificate} holds no certificate"
    try:
        served = ssl.DER_cert_to_PEM_cert(shown(how.port, site_name(at)))
    except OSError as error:
        problem = f"port {how.port}: {reason(error)}"
    is_ours = at.tls in how.certificate.parents
    path = str(how.certificate)
    now, end = time.time(), end_of(at) or "app"
    return TlsState(
        path, how.port, is_ours, certificate, served, problem, now, directory, failed, end
    )


def reason(error: OSError) -> str:
    """Why a handshake failed, in OpenSSL's or the system's words."""
    if isinstance(error, ssl.SSLError):
        return f"the handshake failed: {error.reason or error}"
    return f"no handshake: {error.strerror or error}".lower()


def is_served(state: TlsState) -> bool:
    """Whether a handshake shows what the file holds."""
    return bool(state.served) and state.certificate == state.served


def site_name(at: Layout) -> str:
    """A name that clients ask the site for; "" if it answers for every name."""
    web = web_server(at)
    own = str(web.site(at.balancer_site if end_of(at) == "balancer" else at.app))
    names = [name for one in web.installed().servers if one.file == own for name in one.names]
    return a_name_of(names)


def a_name_of(names: "List[str]") -> str:
    """A host name for which a site with these server names answers."""
    plain = (name.replace("*", "www", 1) for name in names if name[:1] not in ("_", "~", "."))
    return next(plain, "")


def shown(port: int, name: str) -> bytes:
    """The certificate that a client gets who asks for this name. Raises OSError."""
    with _connected(port, name, _SECONDS) as secure:
        return secure.getpeercert(binary_form=True) or b""


def _connected(port: int, name: str, seconds: float) -> ssl.SSLSocket:
    # Whether to trust the certificate is the visitors' question: here it is only compared.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    try:
        return context.wrap_socket(plain, server_hostname=name or None)
    except BaseException:
        plain.close()
        raise


class Connection(http.client.HTTPConnection):
    """A connection to the site over TLS."""

    def __init__(self, port: int, name: str, timeout_seconds: float) -> None:
        super().__init__("127.0.0.1", port, timeout=timeout_seconds)
        self._name = name
        self._seconds = timeout_seconds

    def connect(self) -> None:
        self.sock = _connected(self.port, self._name, self._seconds)
