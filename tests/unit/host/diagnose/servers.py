"""Small servers on loopback that play what a real one said."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

# Until the client sends something, or ends the connection.
HEARS = None


class Played:
    """`heard`: what the client sent, `port`: where it listens."""

    def __init__(self, port: int) -> None:
        self.port, self.heard = port, b""
        self.over = threading.Event()


@contextlib.contextmanager
def playing(*parts: bytes | None) -> Iterator[Played]:
    """Takes one connection: sends each part, reads for each HEARS; then waits for its end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        played = Played(listening.getsockname()[1])
        thread = threading.Thread(target=_play, args=(listening, parts, played), daemon=True)
        thread.start()
        yield played


def _play(listening: socket.socket, parts: tuple[bytes | None, ...], played: Played) -> None:
    listening.settimeout(5)
    with contextlib.suppress(OSError):
        connection, _address = listening.accept()
        with connection:
            connection.settimeout(5)
            for part in parts:
                if part is HEARS:
                    played.heard += connection.recv(4096)
                else:
                    connection.sendall(part)
            while more := connection.recv(4096):
                played.heard += more
    played.over.set()
