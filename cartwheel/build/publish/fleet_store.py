"""The fleet's artifact store, and its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cartwheel.hidden import Hidden

if TYPE_CHECKING:
    from cartwheel.settings.toml_tables import Artifacts

Login = tuple[str, Hidden]


@dataclass(frozen=True)
class Item:
    """A file to publish. `name` is the project's, normalised (PEP 503)."""

    name: str
    version: str
    path: Path
    sha256: str

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size


@dataclass(frozen=True)
class Store:
    """Hosts read at `url` as `reader`; this machine writes at `upload_url` as `writer`."""

    kind: Literal["folder", "index"]
    url: str
    upload_url: str
    timeout_seconds: float
    writer: Login | None = None
    reader: Login | None = None


def store_for(
    artifacts: Artifacts, password: Hidden | None = None, read_password: Hidden | None = None
) -> Store | None:
    """The store of the settings; None if they name none."""
    if artifacts.url is None:
        return None
    writer = _login(artifacts.username, password)
    return Store(
        kind=artifacts.kind,
        url=artifacts.url,
        upload_url=artifacts.upload_url or artifacts.url,
        timeout_seconds=artifacts.timeout_seconds,
        writer=writer,
        reader=_login(artifacts.read_username, read_password) or writer,
    )


def _login(username: str | None, password: Hidden | None) -> Login | None:
    return None if username is None else (username, password or Hidden(""))
