"""nginx as the balancer: a host is in while the link to it exists.

See templates/nginx-balancer.conf.j2: behind the link is a socket of nginx's own for that
host. Without the link nginx's connect() fails at once, before anything of a request was
sent, and it tries the next host; nothing is reloaded. What stays open for long, websockets
and streams, has a socket and a link of its own, which come and go with the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from cartwheel.host.system import files

_SOCKETS = Path("/proc/net/unix")
# SS_CONNECTING, not accepted yet, and SS_CONNECTED (linux/net.h)
_CONNECTED = ("02", "03")
# How the names of the links end.
SUFFIXES = (".sock", ".open")


@dataclass(frozen=True)
class Link:
    """One host behind nginx: `link` leads to the socket `path` while it is in; `site` lists
    all that are behind it. The same with `open_` for what stays open; "" if the mark is of a
    version that had none."""

    link: str
    path: str
    site: str
    open_link: str = ""
    open_path: str = ""

    @property
    def links(self) -> "List[Tuple[Path, str]]":
        """Each link, with its socket."""
        both = [(self.link, self.path), (self.open_link, self.open_path)]
        return [(Path(link), path) for link, path in both if link]

    def is_in(self) -> Optional[bool]:
        try:
            known = f"unix:{self.path};" in Path(self.site).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return files.read_link(Path(self.link)) is not None if known else None

    def take_out(self) -> None:
        for link, _path in reversed(self.links):
            files.remove(link)

    def put_back(self) -> None:
        for link, path in self.links:
            files.link(link, path)

    def under_way(self) -> int:
        """nginx makes one connection to the socket for each request. Those that stay open do not
        count."""
        fields = [line.split() for line in _SOCKETS.read_text().splitlines()]
        return sum(1 for one in fields if one[-1] == self.path and one[5] in _CONNECTED)

    def not_back(self) -> str:
        return ""
