"""A package index that a lab host and this machine see at the same address.

Two real HTTP servers on one port, one here and one inside the host's network, each over a
folder of its own: what they serve may differ, as a mirror that changed its mind does.
"""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cartwheel_lab import LabHost
from tests.kit.ports import free_port

_STARTED_SECONDS = 10.0


@dataclass(frozen=True)
class Mirror:
    """`here` and `there` are folders with `simple/NAME/index.html`: add to them at any time."""

    url: str
    here: Path
    there: Path

    def offer(self, wheel: Path, *folders: Path, claimed: str = "", metadata: bytes = b"") -> None:
        """Publish a wheel in these folders (both by default).

        `claimed` is another SHA-256 for its link; `metadata` is served apart (PEP 658), for
        those who do not look into the wheel.
        """
        for folder in folders or (self.here, self.there):
            project = folder / "simple" / wheel.name.split("-")[0].replace("_", "-").lower()
            project.mkdir(parents=True, exist_ok=True)
            shutil.copy(wheel, project)
            digest = claimed or hashlib.sha256(wheel.read_bytes()).hexdigest()
            about = ""
            if metadata:
                (project / f"{wheel.name}.metadata").write_bytes(metadata)
                about = f' data-core-metadata="sha256={hashlib.sha256(metadata).hexdigest()}"'
            page = project / "index.html"
            link = f'<a href="{wheel.name}#sha256={digest}"{about}>{wheel.name}</a>\n'
            known = page.read_text() if page.exists() else "<!DOCTYPE html>\n"
            page.write_text(known + link)


def metadata_of(wheel: Path) -> bytes:
    """The METADATA inside a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return archive.read(name)


def gunicorn_wheels(folder: Path) -> list[Path]:
    """What every release needs, from this machine's own index."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
    subprocess.run([*command, "-d", str(folder), "gunicorn==23.0.0", "packaging"], check=True)
    return sorted(folder.glob("*.whl"))


@contextmanager
def served(host: LabHost, folder: Path) -> Iterator[Mirror]:
    """Serve an empty mirror, here and on the host, until the block ends."""
    port = free_port()
    mirror = Mirror(f"http://127.0.0.1:{port}/simple", folder / "here", folder / "there")
    (mirror.here / "simple").mkdir(parents=True)
    (mirror.there / "simple").mkdir(parents=True)
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d"]
    quiet = subprocess.DEVNULL
    servers = [subprocess.Popen([*command, str(mirror.here)], stdout=quiet, stderr=quiet)]
    try:
        servers.append(
            host.popen_in_netns([*command, str(mirror.there)], stdout=quiet, stderr=quiet)
        )
        _await_port(port)
        host.sh(
            f"for n in $(seq 100); do curl -sf {mirror.url}/ >/dev/null && exit 0;"
            " sleep 0.1; done; exit 1"
        )
        yield mirror
    finally:
        for server in servers:
            server.kill()
            server.wait()


def _await_port(port: int) -> None:
    end = time.monotonic() + _STARTED_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end, "the mirror did not start"
            time.sleep(0.05)
