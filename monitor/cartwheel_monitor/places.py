"""Where the monitor's files are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """All paths. `lists` is written by `fab monitor.install`, the rest by the monitor."""

    lists: Path
    shared: Path

    @classmethod
    def here(cls) -> Places:
        """Those of this app on this host."""
        shared = Path(os.environ.get("CARTWHEEL_SHARED", "."))
        return cls(shared.parent / "watch.d", shared)

    @property
    def key(self) -> Path:
        """The private key by which hosts let the monitor look."""
        return self.shared / "ssh" / "id_ed25519"

    def project(self, name: str) -> Path:
        """The folder with all that is known of a project."""
        return self.shared / "projects" / name

    @property
    def users(self) -> Path:
        """Who may see the page: a file each, written by `fab monitor.user.add`."""
        return self.lists.parent / "users.d"

    @property
    def page(self) -> Path:
        """What the page itself keeps: the key of its sessions, and failed logins."""
        return self.shared / "page"

    @property
    def silences(self) -> Path:
        """A folder with requests for silences, which the watcher takes away."""
        return self.shared / "silences"

    @property
    def lock(self) -> Path:
        """Held by the only watcher."""
        return self.shared / "watcher.lock"

    @property
    def status(self) -> Path:
        """What the watcher knows, written every few seconds."""
        return self.shared / "status.json"
