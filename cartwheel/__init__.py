"""Cartwheel: deploy Python web applications to Linux hosts over SSH."""

__version__ = "0.1.0"
