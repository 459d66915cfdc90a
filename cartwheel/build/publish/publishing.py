"""Publishes a file once: looks for it, adds it, checks that hosts will find it."""

from __future__ import annotations

import time
from typing import Protocol

from cartwheel.build.publish.calls import STEP
from cartwheel.build.publish.fleet_store import Item, Store
from cartwheel.build.publish.folder import Folder
from cartwheel.build.publish.index import Index
from cartwheel.errors import BuildError
from cartwheel.events import Emit, Event
from cartwheel.host.system import http_request
from cartwheel.host.wire.download import Source

_POLL_SECONDS = 0.5


class Shelf(Protocol):
    """A kind of store."""

    def find(self, item: Item) -> str | None:
        """The URL of exactly this file, or None."""
        ...

    def add(self, item: Item, emit: Emit) -> None: ...


_KINDS: dict[str, type[Folder] | type[Index]] = {"folder": Folder, "index": Index}


def publish(store: Store, item: Item, emit: Emit) -> Source:
    """Publish the file in the store; a file that is there already is not sent again.

    Raises BuildError: store-unreachable, store-refuses, version-taken, deadline.
    """
    started = time.monotonic()
    shelf: Shelf = _KINDS[store.kind](store)
    url = shelf.find(item)
    is_new = url is None
    if url is None:
        emit(Event(STEP, "start", item.path.name))
        shelf.add(item, emit)
        url = _await(shelf, item, store)
    seconds = time.monotonic() - started
    emit(Event(STEP, "done" if is_new else "unchanged", item.path.name, seconds=seconds))
    return _source(store, url, item)


def planned(store: Store, item: Item) -> Source:
    """What `publish` will return, as far as it is known without asking the store."""
    return _source(store, store.url, item)


def _await(shelf: Shelf, item: Item, store: Store) -> str:
    """Wait until the store has the file: an index may need a moment to show a new one."""
    end = time.monotonic() + store.timeout_seconds
    while (url := shelf.find(item)) is None:
        if time.monotonic() > end:
            where = f"{http_request.shown(store.url)} accepted {item.path.name}"
            raise BuildError(
                "store-refuses", f"{where}, but does not have it {store.timeout_seconds:g} s later"
            )
        time.sleep(_POLL_SECONDS)
    return url


def _source(store: Store, url: str, item: Item) -> Source:
    """Credentials of hosts are only for the store's own server, even if its files are elsewhere."""
    login = store.reader if http_request.same_server(url, store.url) else None
    return Source(url, item.size_bytes, store.timeout_seconds, login)
