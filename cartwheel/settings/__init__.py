"""Typed settings: load and validate TOML, resolve variables and secrets.

Importing this is cheap: pydantic is imported when settings are loaded.
"""

from __future__ import annotations

from .loading import Placed, load, load_placed
from .variables import Variable, environment, resolve_each, resolve_secret

__all__ = [
    "Placed",
    "Variable",
    "environment",
    "load",
    "load_placed",
    "resolve_each",
    "resolve_secret",
]
