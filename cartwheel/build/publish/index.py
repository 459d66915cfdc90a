"""A package index that accepts uploads: the legacy upload API, as twine uses it."""

from __future__ import annotations

import hashlib
import secrets

from cartwheel.build.publish.calls import Answer, Body, call
from cartwheel.build.publish.fleet_store import Item, Store
from cartwheel.build.publish.simple import ACCEPT, File, parse_page
from cartwheel.errors import BuildError
from cartwheel.events import Emit
from cartwheel.host.system import http_request

_BAD_REQUEST, _NOT_FOUND, _CONFLICT = 400, 404, 409
_ELSEWHERE = range(300, 400)


class Index:
    """One kind of store (see `publishing.Shelf`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, item: Item) -> str | None:
        """The URL of the file, from the project's page.

        Raises BuildError("version-taken") if a different file has its name.
        """
        files = self._files(item)
        for file in files:
            if file.hashes.get("sha256") == item.sha256:
                return file.url
        named = next((file for file in files if file.filename == item.path.name), None)
        if named is None:
            return None
        if "sha256" not in named.hashes and self._is_same(named, item):
            return named.url
        raise _taken(self._store, item)

    def add(self, item: Item, emit: Emit) -> None:
        """Raises BuildError("version-taken") if the index keeps a different file of that name."""
        store, boundary = self._store, secrets.token_hex(16)
        body = Body(
            item.path,
            emit,
            store.timeout_seconds,
            head=form(item, boundary),
            tail=f"\r\n--{boundary}--\r\n".encode(),
        )
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer = call(
            "POST", store.upload_url, store.writer, store.timeout_seconds, body=body, headers=kind
        )
        # Another run may have just published the same file.
        if not answer.is_ok and self.find(item) is None:
            raise _taken(store, item) if _says_taken(answer) else answer.refused("to an upload")

    def _files(self, item: Item) -> list[File]:
        store = self._store
        url = f"{store.url.rstrip('/')}/{item.name}/"
        page = call(
            "GET", url, store.reader, store.timeout_seconds, headers={"Accept": ACCEPT}, stay=True
        )
        # Some indexes redirect to the public index for packages that they lack.
        if page.status == _NOT_FOUND or page.status in _ELSEWHERE:
            return []
        if not page.is_ok:
            raise page.refused("to a reader")
        try:
            return parse_page(page.body, page.headers.get("Content-Type", ""), page.url)
        except (ValueError, KeyError, TypeError) as error:
            raise BuildError(
                "store-refuses", f"{http_request.shown(url)} is not a page of a package index"
            ) from error

    def _is_same(self, file: File, item: Item) -> bool:
        """Compare the content, for an index that has no SHA-256."""
        store = self._store
        login = store.reader if http_request.same_server(file.url, store.url) else None
        answer = call("GET", file.url, login, store.timeout_seconds)
        return answer.is_ok and hashlib.sha256(answer.body).hexdigest() == item.sha256


def form(item: Item, boundary: str) -> bytes:
    """The upload's form up to the content of its file: only what the API requires."""
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": item.name,
        "version": item.version,
        "filetype": "bdist_wheel",
        "pyversion": item.path.stem.split("-")[-3],
        "sha256_digest": item.sha256,
    }
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; '
        f'filename="{item.path.name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    )
    return "".join(parts).encode()


def _says_taken(answer: Answer) -> bool:
    """409, or 400 with text like "File already exists" or "does not allow updating assets"."""
    if answer.status == _CONFLICT:
        return True
    said = answer.reason.lower() + answer.body.decode(errors="replace").lower()
    return answer.status == _BAD_REQUEST and ("exist" in said or "updating" in said)


def _taken(store: Store, item: Item) -> BuildError:
    return BuildError(
        "version-taken", f"{http_request.shown(store.url)} already has a different {item.path.name}"
    )
