"""certbot keeps a lineage of each certificate; ours are in folders that the host's own never sees.

There is a folder for each directory and mail, because a second mail in one folder is ignored in
silence; so applications share an account. A lineage has the application's name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

from cartwheel.host import layout
from cartwheel.host.system import children, files
from cartwheel.host.system.context import OpError
from cartwheel.host.web.order import Validity
from cartwheel.host.wire.tls import Order

HOME = re.compile(r"[0-9a-f]{12}")
FOLDERS = ("live", "archive", "logs")  # of certbot's; each has one for each lineage
_COPIES = ("keys", "csr")
_CALL_SECONDS = 10.0
_DATE = re.compile(r"^not(Before|After)=(.+)$", re.MULTILINE)
_NAME = re.compile(r"\bDNS:([^\s,]+)")


def top() -> Path:
    """The folder of all folders."""
    return layout.STATE / "acme"


def home_of(order: Order) -> Path:
    """The folder in which the order's certificate is asked for."""
    name = hashlib.sha256(f"{order.directory}\0{order.mail}".encode()).hexdigest()[:12]
    return top() / name


def homes() -> List[Path]:
    return [top() / name for name in files.names(top()) if HOME.fullmatch(name)]


@dataclass(frozen=True)
class Lineage:
    """The lineage of an application in one of the folders."""

    home: Path
    app: str

    @property
    def chain(self) -> Path:
        return self.home / "live" / self.app / "fullchain.pem"

    @property
    def key(self) -> Path:
        return self.home / "live" / self.app / "privkey.pem"

    @property
    def log(self) -> Path:
        """certbot's log of the last try."""
        return self.home / "logs" / self.app / "letsencrypt.log"

    @property
    def _settings(self) -> Path:
        return self.home / "renewal" / (self.app + ".conf")

    @property
    def _folders(self) -> Tuple[Path, ...]:
        return tuple(self.home / name / self.app for name in FOLDERS)

    def log_text(self) -> str:
        """The log; "" if there is none."""
        try:
            return self.log.read_text(errors="replace")
        except OSError:
            return ""

    @property
    def accounts(self) -> Path:
        """The account at the authority, which all lineages of the folder share."""
        return self.home / "accounts"

    def can_ask(self) -> bool:
        """Whether certbot can read the account. It writes that without fsync too, and would refuse
        for ever what a power cut has left empty."""
        try:
            for path in self.accounts.rglob("*.json"):
                json.loads(path.read_bytes())
        except (OSError, ValueError):
            return False
        return True

    def tidy(self) -> None:
        """Remove what certbot 2.1 keeps in addition: a second copy of each key, for ever."""
        for name in _COPIES:
            files.remove_tree(self.home / name)

    def is_whole(self) -> bool:
        """Whether certbot can go on with it. It writes without fsync, and what it was killed in
        the middle of it refuses for ever ("live directory exists")."""
        try:
            if not self._settings.read_text().strip():
                return False
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.chain, self.key)
        except (OSError, ValueError):  # ssl.SSLError: they do not belong together
            return False
        return True

    def validity(self) -> Optional[Validity]:
        """What its certificate says; None if it has none."""
        return validity(self.chain) if self.is_whole() else None

    def remove(self) -> bool:
        """Remove all of it; whether there was anything."""
        found = files.remove(self._settings)
        for folder in self._folders:
            found |= files.remove_tree(folder)
        return found


def validity(path: Path) -> Optional[Validity]:
    """What the first certificate in a file says; None if it cannot be read."""
    argv = ["openssl", "x509", "-in", str(path), "-noout", "-startdate", "-enddate"]
    try:
        argv += ["-ext", "subjectAltName"]
        done = children.ask(argv, timeout_seconds=_CALL_SECONDS)
        dates = {
            which: ssl.cert_time_to_seconds(text) for which, text in _DATE.findall(done.output)
        }
        names = frozenset(name.lower() for name in _NAME.findall(done.output))
        return Validity(names, dates["Before"], dates["After"])
    except (KeyError, ValueError, OpError):
        return None


def sweep(app: str, keep: Optional[Path] = None) -> List[str]:
    """Remove the lineages of an application, except in the folder `keep`; and the folders without
    any lineage, with their accounts. Nothing is revoked. The caller holds the lock."""
    gone: List[str] = []
    for home in homes():
        if home == keep:
            continue
        if Lineage(home, app).remove():
            gone.append(f"lineage {app} in {home}")
        if not list(_apps_in(home)):
            files.remove_tree(home)
            gone.append(str(home))
    with contextlib.suppress(OSError):
        files.remove_empty(top())
    return gone


def _apps_in(home: Path) -> Iterator[str]:
    yield from (name for name in files.names(home / "renewal") if name.endswith(".conf"))
    yield from (
        name for name in files.names(home / "live") if files.is_folder(home / "live" / name)
    )
