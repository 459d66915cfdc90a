"""HAProxy as the balancer, through its runtime API (its management guide, "Unix Socket
commands"): drain takes a server out, ready returns it."""

from __future__ import annotations

import csv
import io
import socket
from dataclasses import dataclass
from typing import Dict, Optional

from cartwheel.host.system.context import OpError

_CALL_SECONDS = 5.0
_CHUNK_BYTES = 65536
# With checks a server that gets requests is UP, perhaps "UP 1/3" on its way down.
_IN = ("UP", "no check")


@dataclass(frozen=True)
class Server:
    """One server of a backend of the HAProxy that listens on the stats socket `socket`."""

    socket: str
    backend: str
    server: str

    def is_in(self) -> Optional[bool]:
        row = self._row()
        return None if row is None else row["status"].startswith(_IN)

    def take_out(self) -> None:
        self._set("drain")

    def put_back(self) -> None:
        self._set("ready")

    def under_way(self) -> int:
        row = self._row()
        return int(row["scur"] or 0) if row else 0

    def not_back(self) -> str:
        row = self._row()
        status = row["status"] if row else "gone"
        return "" if status.startswith(_IN) else f"HAProxy reports it as {status}"

    def _set(self, state: str) -> None:
        said = self._ask(f"set server {self.backend}/{self.server} state {state}")
        if said.strip():
            raise OpError("balancer", f"HAProxy says: {said.strip().splitlines()[0]}")

    def _row(self) -> Optional[Dict[str, str]]:
        """The server's status in `show stat`; None if the backend has no such server. Raises
        OpError("balancer") if there is no such backend."""
        rows = list(csv.DictReader(io.StringIO(self._ask("show stat").lstrip("# "))))
        ours = {row["svname"]: row for row in rows if row["pxname"] == self.backend}
        if not ours:
            raise OpError("balancer", f"HAProxy has no backend {self.backend}")
        return ours.get(self.server)

    def _ask(self, command: str) -> str:
        """Send one command; returns its whole answer. Raises OpError("balancer")."""
        answer = b""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.settimeout(_CALL_SECONDS)
                line.connect(self.socket)
                line.sendall(command.encode() + b"\n")
                for piece in iter(lambda: line.recv(_CHUNK_BYTES), b""):
                    answer += piece
        except OSError as error:
            why = error.strerror or str(error)
            raise OpError("balancer", f"HAProxy does not answer at {self.socket}: {why}") from error
        return answer.decode("utf-8", "replace")
