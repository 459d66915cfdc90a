"""Look a name up as the app does, in a thread that may be left alone: a lookup has no deadline."""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence, Tuple, Union

# An IPv4 address with port, an IPv6 one with port, flow and scope.
Address = Union[Tuple[str, int], Tuple[str, int, int, int]]

SECONDS = 2.3
"""Every lookup ends by then; a resolver asks the second server after five seconds."""
_SERVER_SECONDS = 1.0
_MOST_SERVERS = 3  # as many as the resolver takes (resolv.conf(5))


@dataclass(frozen=True)
class Known:
    """`places`: family and address of each answer. `problem`: why there is none. `passing`: the
    name may exist, but nobody could be asked."""

    places: Tuple[Tuple[int, Address], ...]
    problem: str
    passing: bool
    seconds: float


def look_up(names: Sequence[str], seconds: float = SECONDS) -> Dict[str, Known]:
    """All names at once."""
    found: Dict[str, Known] = {}

    def ask(name: str) -> None:
        found[name] = _asked(name)

    began = time.monotonic()
    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + seconds - time.monotonic()))
    late = Known((), f"no answer within {seconds:.0f} s", True, seconds)
    known = dict(found)
    return {name: known.get(name, late) for name in names}


def _asked(name: str) -> Known:
    began = time.monotonic()
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        passing = error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL)
        text = (error.strerror or str(error)).lower()
        return Known((), text, passing, time.monotonic() - began)
    except (OSError, UnicodeError) as error:
        return Known((), str(error), False, time.monotonic() - began)
    places = tuple((family, _address(sockaddr)) for family, _t, _p, _c, sockaddr in answers)
    return Known(places, "", False, time.monotonic() - began)


def _address(sockaddr: "tuple[object, ...]") -> Address:
    host = str(sockaddr[0])
    if len(sockaddr) < 4:
        return (host, 0)
    return (host, 0, int(str(sockaddr[2])), int(str(sockaddr[3])))


def at_port(address: Address, port: int) -> Address:
    """The same address with this port."""
    if len(address) == 2:
        return (address[0], port)
    return (address[0], port, address[2], address[3])


# --- name servers -------------------------------------------------------------------------


def servers(path: str = "/etc/resolv.conf") -> List[str]:
    """The name servers that the host is configured for."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = [line.split() for line in text.splitlines()]
    found = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return found[:_MOST_SERVERS]


def server_problem(server: str, port: int = 53) -> str:
    """Why a name server does not answer; "" if it does. It is asked twice, since a datagram may be
    lost."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    # A query for the name servers of the root: every server has an answer, if only that it refuses.
    query = struct.pack("!HHHHHH", 0x4357, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack("!HH", 2, 1)
    problem = ""
    for _attempt in range(2):
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(_SERVER_SECONDS)
            try:
                asking.connect((server, port))
                asking.send(query)
                asking.recv(4096)
                return ""
            except socket.timeout:
                problem = "does not answer"
            except ConnectionRefusedError:
                problem = "refuses: nothing listens there"
            except OSError as error:
                return (error.strerror or str(error)).lower()
    return problem
