"""Disposable real hosts on this machine, for trying Cartwheel and for its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartwheel_lab.lab import Lab, LabHost, inventory

__all__ = ["Lab", "LabHost", "inventory"]


def __getattr__(name: str) -> object:
    """Import a name on first use: `fab --list` only needs the names of the tasks."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cartwheel_lab import lab

    return getattr(lab, name)
