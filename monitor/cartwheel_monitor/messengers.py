"""How people are reached: by all messengers that Apprise knows (https://appriseit.com/services/).

An address is a secret: it is shown masked, and no text from here has a part of it. The same is said
by cartwheel/notify/by_apprise.py; the monitor is installed without the rest of Cartwheel.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from contextvars import ContextVar
from urllib.parse import unquote

from cartwheel_monitor.language import _
from cartwheel_monitor.messages import Message

_MASK = "***"
_PARTS = re.compile(r"[\w.~+=-]{4,}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=://)")


def send(address: str, message: Message) -> str:
    """Deliver it; why that failed, without parts of the address, or ""."""
    try:
        import apprise
    except ImportError:
        return _("Apprise is not installed")
    said: list[str] = []
    before = _SAID.set(said)
    apprise.logger.addHandler(_HANDLER)
    try:
        target = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False))
        if not target.add(address):
            return _("Apprise does not know its address")
        done = target.notify(
            title=message.title,
            body=message.body or message.title,
            notify_type=apprise.NotifyType(message.mood or "info"),
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception as error:
        return unexpected(error)  # its text may hold the address
    finally:
        _SAID.reset(before)
    return "" if done else without((said or [_("Apprise could not deliver it")])[0], [address])


def unexpected(error: Exception) -> str:
    """An error of which only the name may be said."""
    return _("unexpected {name}").format(name=type(error).__name__)


# Several messengers are reached at once, and Apprise has threads of its own, to which it hands the
# context: what is said of one address is not said of another.
_SAID: ContextVar[list[str] | None] = ContextVar("said", default=None)


class _Handler(logging.Handler):
    """Keeps the warnings of the call in whose context they come."""

    def emit(self, record: logging.LogRecord) -> None:
        said = _SAID.get()
        if said is not None:
            said.append(" ".join(record.getMessage().split()))


_HANDLER = _Handler(logging.WARNING)


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
