"""Patterns of paths, for `app.include` and `app.exclude`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache

_PIECE = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def fits(patterns: Iterable[str], name: str) -> bool:
    """Whether one of `patterns` names this path, or a folder that it is in.

    `*` and `?` stand for characters within one name, `**` for any folders.
    """
    return any(_regex(pattern).fullmatch(name) for pattern in patterns)


def toml_list(patterns: Iterable[str]) -> str:
    """Patterns as a TOML list for the settings, each once."""
    return json.dumps(list(dict.fromkeys(patterns)), ensure_ascii=False)


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    plain = pattern.removeprefix("./").rstrip("/")
    if plain in ("", "."):
        plain = "**"
    meaning = "".join(_MEANING.get(piece, re.escape(piece)) for piece in _PIECE.findall(plain))
    return re.compile(f"{meaning}(?:/.*)?", re.DOTALL)
