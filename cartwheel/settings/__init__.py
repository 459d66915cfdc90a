"""Typed settings: load and validate TOML, resolve variables and secrets.

Importing this is cheap: pydantic is imported when settings are loaded.
"""

from __future__ import annotations

from .loading import Placed, load, load_placed
from .variables import (
    Taken,
    Variable,
    environment,
    resolve_each,
    resolve_secret,
    take_from_environment,
)

__all__ = [
    "Placed",
    "Taken",
    "Variable",
    "environment",
    "load",
    "load_placed",
    "resolve_each",
    "resolve_secret",
    "take_from_environment",
]
