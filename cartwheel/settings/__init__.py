"""Typed settings: load and validate TOML, resolve variables and secrets."""
