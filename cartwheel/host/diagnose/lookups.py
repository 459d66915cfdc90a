"""Whether names can be looked up, and whether the name servers answer."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from typing import Dict, List

from cartwheel.host.diagnose import addresses, names
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.diagnose.services import variables_of
from cartwheel.host.system.context import Context
from cartwheel.host.wire.diagnosis import Lookup

_MOST = 20
_SERVER_SECONDS = 2.3


def look(ctx: Context, window: Window) -> Found:
    """The names in the app's variables, the host's own, and each name server."""
    of_names: Dict[str, List[str]] = {}
    for one in addresses.endpoints(variables_of(ctx)):
        if one.host and not _is_number(one.host):
            of_names.setdefault(one.host, []).append(one.variable)
    own = socket.gethostname()
    wanted = list(of_names)[:_MOST]
    problems = _Servers(names.servers())
    known = names.look_up([*wanted, own])
    found = [
        Lookup(
            name,
            known[name].problem,
            known[name].seconds,
            "name" if name in of_names else "own",
            tuple(dict.fromkeys(of_names.get(name, ()))),
            known[name].passing,
        )
        for name in dict.fromkeys([*wanted, own])
    ]
    return Found(lookups=(*found, *problems.results()))


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _Servers:
    """Asks all name servers at once."""

    def __init__(self, servers: List[str]) -> None:
        self._began = time.monotonic()
        self._servers = servers
        self._found: Dict[str, Lookup] = {}
        self._threads = [
            threading.Thread(target=self._ask, args=(server,), daemon=True) for server in servers
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, server: str) -> None:
        began = time.monotonic()
        problem = names.server_problem(server)
        seconds = time.monotonic() - began
        self._found[server] = Lookup(server, problem, seconds, "server")

    def results(self) -> List[Lookup]:
        """What is known in time."""
        for thread in self._threads:
            thread.join(max(0.0, self._began + _SERVER_SECONDS - time.monotonic()))
        found = dict(self._found)
        return [found[server] for server in self._servers if server in found]
