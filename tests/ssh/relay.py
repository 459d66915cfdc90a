"""A TCP relay that can go dark, cut, delay and count: the network's own faults."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class Relay:
    """Listens on loopback and passes on to `port`. Threads end with `close`. It hangs up on the
    first `refusals` connections, as a busy host does."""

    def __init__(self, port: int, delay_seconds: float = 0.0, refusals: int = 0) -> None:
        self._to = port
        self.refusals = refusals
        self._delay = delay_seconds
        self._open: list[socket.socket] = []
        self._dark = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def black_hole(self) -> None:
        """From now on nothing passes, in either direction, and nothing is closed."""
        self._dark.set()

    def cut(self) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = self._listener.accept()
                if self.refusals:
                    self.refusals -= 1
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._to))
                for each in (near, far):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._open.append(each)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._dark.is_set():
                    return
                time.sleep(self._delay)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
