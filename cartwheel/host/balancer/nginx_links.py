"""nginx as the balancer: a host is in while the link to it exists.

See templates/nginx-balancer.conf.j2: behind the link is a socket of nginx's own for that
host. Without the link nginx's connect() fails at once, before anything of a request was
sent, and it tries the next host; nothing is reloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from cartwheel.host.system import files

_SOCKETS = Path("/proc/net/unix")
# SS_CONNECTING, not accepted yet, and SS_CONNECTED (linux/net.h)
_CONNECTED = ("02", "03")


@dataclass(frozen=True)
class Link:
    """One host behind nginx: `link` leads to the socket `path` while it is in; `site` lists
    all that are behind it."""

    link: str
    path: str
    site: str

    def is_in(self) -> Optional[bool]:
        try:
            known = f"unix:{self.path};" in Path(self.site).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return files.read_link(Path(self.link)) is not None if known else None

    def take_out(self) -> None:
        files.remove(Path(self.link))

    def put_back(self) -> None:
        files.link(Path(self.link), self.path)

    def under_way(self) -> int:
        """nginx makes one connection to the socket for each request."""
        fields = [line.split() for line in _SOCKETS.read_text().splitlines()]
        return sum(1 for one in fields if one[-1] == self.path and one[5] in _CONNECTED)

    def not_back(self) -> str:
        return ""
