"""Requests about HTTPS on a host. It belongs to the host, not to a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional, Tuple

from cartwheel.host.wire.hidden import Hidden
from cartwheel.host.wire.request import Done, Request

End = Literal["app", "balancer"]
"""The site in which TLS ends on a host: the application's, or that of the balancer there."""

# The files of a certificate that a deploy has brought, in a folder of their own.
CHAIN = "fullchain.pem"
KEY = "key.pem"


@dataclass(frozen=True)
class TlsFiles:
    """A certificate with its chain, and its key, as PEM. `name` is their folder's: a digest of
    both."""

    name: str
    certificate: str
    key: Hidden


@dataclass(frozen=True)
class InstallTls(Request[Done]):
    """Serve TLS with these files; None: with those that are on the host. `site` is the text that
    the site includes in which TLS is to end, `server_names` are that site's; in the host's other
    site it ends no more. At any failure everything is as before."""

    op = "tls-install"
    files: Optional[TlsFiles]
    site: str
    server_names: Tuple[str, ...]
    end: End = "app"


@dataclass(frozen=True)
class Order:
    """What a host asks a certificate authority for (RFC 8555). `directory`: its URL; `mail`: for
    the account, "" for none; `roots`: those of a private CA as PEM, "" for a public one."""

    names: Tuple[str, ...]
    directory: str
    mail: str
    roots: str


@dataclass(frozen=True)
class InstallAcme(Request[Done]):
    """Serve TLS with a certificate from a CA, and renew it from now on; the CA is asked only where
    the host has none that fits. `site`, `end`: as in `InstallTls`. At any failure what is served
    stays as it is, and the host tries again by itself."""

    op = "tls-acme"
    order: Order
    site: str
    end: End = "app"


@dataclass(frozen=True)
class RenewTls(Request[Done]):
    """Ask the CA now, although the certificate is not due; `dry_run`: and change nothing."""

    op = "tls-renew"
    dry_run: bool


@dataclass(frozen=True)
class RemoveTls(Request[Done]):
    """Serve no TLS any more; remove the certificates that deploys have brought."""

    op = "tls-remove"


@dataclass(frozen=True)
class TlsThere:
    """What is on the host for TLS. `live`: the folder of the files that a deploy has brought, ""
    for files of the host's own; `site`: SHA-256 of what the site includes, "" if it includes
    nothing; `certificate`: the one that it names, as PEM, "" if it cannot be read. `order`: what
    the host asks a CA for; `failed`: how its last try failed, "" if it did not. `is_watched`:
    whether the units that look after it are whole. `end`: where it ends, or is to end."""

    live: str
    site: str
    certificate: str
    order: Optional[Order] = None
    failed: str = ""
    is_watched: bool = True
    end: End = "app"


@dataclass(frozen=True)
class TlsState:
    """How TLS is served. `path`: the file of the certificate; `is_ours`: a deploy has brought it;
    `certificate` is in it, and `served` is what a handshake on the host shows, both as PEM.
    `problem`: why one of them is not known. `time`: the host's clock. `directory`: of the CA that
    the host asks, "" if it asks none; `failed`: how its last try failed, "" if it did not. `end`:
    where TLS ends, or is to end."""

    path: str
    port: int
    is_ours: bool
    certificate: str
    served: str
    problem: str
    time: float
    directory: str = ""
    failed: str = ""
    end: End = "app"


@dataclass(frozen=True)
class AskTls(Request[Optional[TlsState]]):
    """How TLS is served; None: not at all."""

    op = "tls-status"
