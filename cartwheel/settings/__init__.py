"""Typed settings: load and validate TOML, resolve variables and secrets.

Importing this is cheap: pydantic is imported when settings are loaded.
"""

from __future__ import annotations

from .loading import load
from .variables import Variable, environment, resolve_secret

__all__ = ["Variable", "environment", "load", "resolve_secret"]
