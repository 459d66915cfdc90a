"""A messenger on a lab host: it keeps what a monitor there tells it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cartwheel_lab import LabHost
from tests.kit.waiting import until

ADDRESS = "json://127.0.0.1:9999/room-of-the-team"
"""For [notify.to], on the messenger's own host."""
_HEARS = """
import http.server, json, time
class Hears(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open("/root/heard", "a") as file:
            file.write(json.dumps([time.time(), said["title"], said["message"]]) + "\\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", 9999), Hears).serve_forever()
"""


@dataclass(frozen=True)
class Messenger:
    """What it has heard so far, oldest first."""

    host: LabHost

    def heard(self, *, whole: bool = False) -> list[str]:
        """The titles of all messages, or the messages as a `whole`."""
        text = self.host.sh("cat /root/heard 2>/dev/null || true")
        found = [json.loads(line)[1:] for line in text.splitlines()]
        return ["\n".join(one) if whole else one[0] for one in found]

    def hears(self, title: str) -> None:
        """Wait for a message with this title."""
        until(lambda: title in self.heard(), 60, shown=title)


def start(host: LabHost) -> Messenger:
    """Start it; it goes with the host."""
    host.sh(f"cat >/root/hears.py <<'.'\n{_HEARS}\n.")
    host.sh("systemd-run -q --unit=hears python3 /root/hears.py")
    return Messenger(host)
