"""Disposable real hosts on this machine, for trying Cartwheel and for its tests."""

from __future__ import annotations

from cartwheel_lab.lab import Lab, LabHost, inventory

__all__ = ["Lab", "LabHost", "inventory"]
