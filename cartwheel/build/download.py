"""Downloads one file from a URL, for packages whose source is a URL."""

from __future__ import annotations

import functools
import ssl
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cartwheel.build.index import Access, bare
from cartwheel.build.origins import Origin
from cartwheel.errors import BuildError
from cartwheel.host.system import http_request

SILENCE_SECONDS = 60.0
DEADLINE_SECONDS = 600.0
TEXT_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 20


def download(origin: Origin, access: Access, folder: Path) -> Path:
    """Fetch `origin.place` into `folder`, with the proxy and the certificates of `access`.

    The file may change, so it is fetched each time. Raises BuildError("source-unusable").
    """
    path = folder / (unquote(urlsplit(origin.place).path.rpartition("/")[2]) or "download")
    end = time.monotonic() + DEADLINE_SECONDS
    try:
        opened = _opener(access).open(_request(origin.place), timeout=SILENCE_SECONDS)
        with opened as answer, path.open("wb") as file:
            while block := answer.read(_BLOCK_BYTES):
                file.write(block)
                if time.monotonic() > end:
                    raise TimeoutError(f"it did not end within {DEADLINE_SECONDS:.0f} s")
    except (OSError, ValueError, HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise origin.refusal(f"{origin.text} cannot be fetched: {why}") from error
    return path


@functools.lru_cache(maxsize=100)
def fetched_text(url: str, access: Access, where: str) -> bytes:
    """A requirements file at a URL, the same for one run; `where` includes it.

    Raises BuildError("source").
    """
    try:
        with _opener(access).open(_request(url), timeout=SILENCE_SECONDS) as answer:
            content: bytes = answer.read(TEXT_BYTES + 1)
    except (OSError, ValueError, HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise BuildError("source", f"{where}: {bare(url)} cannot be fetched: {why}") from error
    if len(content) > TEXT_BYTES:
        raise BuildError(
            "source", f"{where}: {bare(url)} is not a requirements file: it is too big"
        )
    return content


def _request(url: str) -> urllib.request.Request:
    parts = urlsplit(url)
    login = None
    if parts.username is not None:
        login = (unquote(parts.username), unquote(parts.password or ""))
    return http_request.request(bare(url), login)


def _opener(access: Access) -> urllib.request.OpenerDirector:
    folder = access.cert if access.cert and Path(access.cert).is_dir() else None
    file = access.cert if access.cert and folder is None else None
    context = ssl.create_default_context(cafile=file, capath=folder)
    if access.client_cert:
        context.load_cert_chain(access.client_cert)
    proxies = {"http": access.proxy, "https": access.proxy} if access.proxy else None
    return urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler(proxies)
    )
