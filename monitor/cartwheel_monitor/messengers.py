"""How people are reached: by all messengers that Apprise knows (https://appriseit.com/services/).

An address is a secret: it is shown masked, and no text from here has a part of it. The same is said
by cartwheel/notify/by_apprise.py; the monitor is installed without the rest of Cartwheel.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable
from urllib.parse import unquote

from cartwheel_monitor.messages import Message

_MASK = "***"
_PARTS = re.compile(r"[\w.~+=-]{4,}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=://)")
_UNKNOWN = "Apprise does not know its address"


def problem_with(address: str) -> str:
    """Why it cannot be used; "" if it can. Nothing is sent."""
    try:
        import apprise
    except ImportError:
        return "Apprise is not installed"
    if apprise.Apprise.instantiate(address, suppress_exceptions=True) is None:
        return _UNKNOWN
    return ""


def send(address: str, message: Message) -> str:
    """Deliver it; why that failed, without parts of the address, or ""."""
    try:
        import apprise
    except ImportError:
        return "Apprise is not installed"
    said = _Said()
    apprise.logger.addHandler(said)
    try:
        # In this thread, whose warnings are listened to.
        target = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False))
        if not target.add(address):
            return _UNKNOWN
        done = target.notify(
            title=message.title,
            body=message.body or message.title,
            notify_type=apprise.NotifyType(message.mood or "info"),
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception as error:
        return f"unexpected {type(error).__name__}"  # its text may hold the address
    finally:
        apprise.logger.removeHandler(said)
    return "" if done else without(said.first or "Apprise could not deliver it", [address])


class _Said(logging.Handler):
    """Keeps the first warning of this thread; others speak of other addresses."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first = ""
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.first = self.first or " ".join(record.getMessage().split())


def masked(address: str) -> str:
    """The address as people may see it: `slack://***`."""
    found = _SCHEME.match(address.strip())
    return f"{found.group()}://{_MASK}" if found else _MASK


def without(text: str, addresses: Iterable[str]) -> str:
    """The text without anything that stands in an address, as it stands there or decoded."""
    parts = {
        part
        for address in addresses
        for form in (address, unquote(address))
        for part in _PARTS.findall(form.partition("://")[2] or form)
    }
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, _MASK)
    return text
