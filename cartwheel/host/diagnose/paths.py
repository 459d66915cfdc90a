"""Paths of requests, grouped: what differs from one thing to the next becomes `*`."""

from __future__ import annotations

import re

_MOST_BYTES = 120
_PIECES = re.compile(
    # A UUID, hexadecimal digits, and numbers.
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|(?<![0-9A-Za-z])(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}(?![0-9A-Za-z])"
    r"|(?<![0-9A-Za-z])[0-9]+(?![0-9A-Za-z])"
)
# Tokens: long, or with digits and letters of both kinds.
_TOKEN = re.compile(
    r"[A-Za-z0-9_~.+=:-]{40,}|(?=\D*\d)[A-Za-z0-9_=-]{20,}"
    r"|(?=\D*\d)(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[A-Za-z0-9_=-]{8,}"
)
_VERSION = re.compile(r"[vV]\d{1,2}")
_NUMBERED = re.compile(r"[0-9]+-.*")  # /items/12-blue-shoe
_TITLE_DASHES = 3  # /blog/how-to-make-a-cake


def grouped(path: str) -> str:
    """`/orders/4711/items` as `/orders/*/items`, without the query."""
    path = path.split("?", 1)[0].split("#", 1)[0]
    if path.count("/") > 12 or len(path) > 2000:
        path = path[:_MOST_BYTES]
    return "/".join(map(_segment, path.split("/")))[:_MOST_BYTES] or "/"


def _segment(text: str) -> str:
    if not text or _VERSION.fullmatch(text):
        return text
    if (
        "@" in text
        or "%40" in text
        or text.count("%") > 1
        or text.count("-") >= _TITLE_DASHES
        or _NUMBERED.fullmatch(text)
        or _TOKEN.fullmatch(text)
    ):
        return "*"
    return _PIECES.sub("*", text)
