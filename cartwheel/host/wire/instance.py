"""Names an instance: its release, its process, its slot and number."""

from __future__ import annotations

from dataclasses import dataclass

WEB = "web"


@dataclass(frozen=True, order=True)
class Instance:
    """One process of a release, running or not. Its slot distinguishes it from instances of the
    same process and release that are still stopping; instances that run together have the same
    slot, and differ in their process or `number` (0: the process has one instance, as web)."""

    process: str
    release: str
    slot: str
    number: int = 0

    @property
    def label(self) -> str:
        """What systemd calls it among the instances of its unit: `2`, or `2.1`."""
        return f"{self.slot}.{self.number}" if self.number else self.slot
