"""The ways to reach people. A new one is one file, and one line here."""

from __future__ import annotations

from typing import Protocol

from cartwheel.notify.by_apprise import ByApprise
from cartwheel.notify.messages import Message


class Notifier(Protocol):
    """One way. It runs in a process of its own (`sender`), so it may import what it likes."""

    def problem_with(self, address: str) -> str:
        """Why it cannot use the address; "" if it can."""

    def send(self, address: str, message: Message) -> str:
        """Deliver the message; why that failed, without parts of the address, or ""."""


KINDS: tuple[Notifier, ...] = (ByApprise(),)
