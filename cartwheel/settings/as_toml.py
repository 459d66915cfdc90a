"""Values of settings as TOML."""

from __future__ import annotations

import json
import re


def toml(value: object) -> str:
    """A default or an example as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(inner) for inner in value) + "]"
    if isinstance(value, dict):
        pairs = [f"{_key(key)} = {toml(inner)}" for key, inner in value.items()]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # also a TOML basic string
    return f"{value:g}" if isinstance(value, float) else str(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
