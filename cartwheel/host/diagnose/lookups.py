"""Whether names can be looked up, and whether the name servers answer."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from typing import Dict, Iterator, List, Mapping, Sequence

from cartwheel.host.diagnose import names
from cartwheel.host.diagnose.addresses import Endpoint
from cartwheel.host.diagnose.found import Found, Window
from cartwheel.host.system.context import Context
from cartwheel.host.wire.diagnosis import Lookup

_SERVER_SECONDS = 2.3


def look(ctx: Context, window: Window) -> Found:
    """The host's own name, and each name server. Those in the app's variables are looked up, once,
    by `services`."""
    own = socket.gethostname()
    servers = _Servers(names.servers())
    known = names.look_up([own])[own]
    found = Lookup(own, known.problem, known.seconds, "own", (), known.passing)
    return Found(lookups=(found, *servers.results()))


def of_endpoints(
    endpoints: Sequence[Endpoint], known: Mapping[str, names.Known]
) -> Iterator[Lookup]:
    """The lookups of the names that these have."""
    variables: Dict[str, List[str]] = {}
    for one in endpoints:
        if one.host in known and not _is_number(one.host):
            variables.setdefault(one.host, []).append(one.variable)
    for name, of in variables.items():
        how, by = known[name], tuple(dict.fromkeys(of))
        yield Lookup(name, how.problem, how.seconds, "name", by, how.passing)


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
