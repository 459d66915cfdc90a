"""An HTTP folder that accepts PUT: every file is below its own hash, so none replaces another."""

from __future__ import annotations

from urllib.parse import quote

from cartwheel.build.publish.calls import Body, call
from cartwheel.build.publish.fleet_store import Item, Store
from cartwheel.events import Emit

_UNAUTHORIZED = 401


class Folder:
    """One kind of store (see `publishing.Shelf`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, item: Item) -> str | None:
        """The URL of the file; None if it is missing or incomplete."""
        store, url = self._store, _below(self._store.url, item)
        answer = call("HEAD", url, store.reader, store.timeout_seconds)
        if answer.status == _UNAUTHORIZED:
            raise answer.refused("to a reader")
        size = answer.headers.get("Content-Length")
        # Some stores answer 403 for missing files.
        return url if answer.is_ok and size in (None, str(item.size_bytes)) else None

    def add(self, item: Item, emit: Emit) -> None:
        store, url = self._store, _below(self._store.upload_url, item)
        body = Body(item.path, emit, store.timeout_seconds)
        answer = call("PUT", url, store.writer, store.timeout_seconds, body=body)
        if not answer.is_ok:
            raise answer.refused("to PUT")


def _below(folder: str, item: Item) -> str:
    return f"{folder.rstrip('/')}/{item.sha256}/{quote(item.path.name)}"
