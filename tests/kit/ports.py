"""A free port that no other program takes before the test does."""

from __future__ import annotations

import random
import socket

# Below the range that the kernel uses for outgoing connections (ip(7), ip_local_port_range): a port
# in that range could be in use again a moment later.
_FIRST, _LAST = 15000, 31000


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens now."""
    while True:
        port = random.randint(_FIRST, _LAST)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
