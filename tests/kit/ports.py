"""A port that nobody takes before the test does."""

from __future__ import annotations

import random
import socket

# Below those that the kernel gives to connections that go out (ip(7), ip_local_port_range): a
# port from there may be a connection's again a moment later.
_FIRST, _LAST = 15000, 31000


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    while True:
        port = random.randint(_FIRST, _LAST)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
