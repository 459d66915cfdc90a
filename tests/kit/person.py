"""A person with a browser's manners and no browser: cookies, forms, uploads, over HTTPS."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http.cookiejar import CookieJar
from typing import Any

_SECONDS = 20.0
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass(frozen=True)
class Answer:
    """What came in the end, after redirects."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def path(self) -> str:
        return urllib.parse.urlsplit(self.url).path


class _Connection(http.client.HTTPSConnection):
    """A connection to the place where a name is in this test."""

    def __init__(self, host: str, *, place: tuple[str, int], **more: Any) -> None:
        super().__init__(host, **more)
        self._place = place

    def connect(self) -> None:
        plain = socket.create_connection(self._place, _SECONDS)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)  # type: ignore[attr-defined]  # what http.client has


class _Handler(urllib.request.HTTPSHandler):
    def __init__(self, place: tuple[str, int], root: str) -> None:
        self._trust = ssl.create_default_context(cadata=root)
        super().__init__(context=self._trust)
        self._place = place

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        connect = partial(_Connection, place=self._place)
        return self.do_open(connect, req, context=self._trust)


@dataclass
class Person:
    """They visit https://NAME, which is at `place`, and trust the CA `root`."""

    name: str
    place: tuple[str, int]
    root: str
    cookies: CookieJar = field(default_factory=CookieJar)

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask(urllib.request.Request(self._url(path), headers=headers))

    def submit(
        self,
        path: str,
        fields: Mapping[str, str],
        file: tuple[str, str, bytes] | None = None,
        action: str = "",
    ) -> Answer:
        """Open a page, fill in its form and send it, to `action` if that is another path. `file` is
        its field, name and content."""
        found = _TOKEN.search(self.get(path).text)
        assert found, f"{path} has no form"
        return self.post(action or path, {"csrfmiddlewaretoken": found[1], **fields}, file)

    def post(
        self,
        path: str,
        fields: Mapping[str, str],
        file: tuple[str, str, bytes] | None = None,
        origin: str = "",
    ) -> Answer:
        boundary = uuid.uuid4().hex
        parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
        if file is not None:
            parts.append((f'name="{file[0]}"; filename="{file[1]}"', file[2]))
        body = b"".join(
            f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode()
            + content
            + b"\r\n"
            for head, content in parts
        )
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Origin": origin or f"https://{self.name}",
            "Referer": f"{origin or f'https://{self.name}'}{path}",
        }
        data = body + f"--{boundary}--\r\n".encode()
        return self._ask(urllib.request.Request(self._url(path), data, headers))

    def _url(self, path: str) -> str:
        return urllib.parse.urljoin(f"https://{self.name}/", path)

    def _ask(self, request: urllib.request.Request) -> Answer:
        opener = urllib.request.build_opener(
            _Handler(self.place, self.root), urllib.request.HTTPCookieProcessor(self.cookies)
        )
        try:
            with opener.open(request, timeout=_SECONDS) as answer:
                return Answer(answer.status, answer.url, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, request.full_url, dict(error.headers), error.read())
