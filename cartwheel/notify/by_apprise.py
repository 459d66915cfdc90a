"""All messengers that Apprise knows (https://appriseit.com/services/)."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from urllib.parse import unquote

from cartwheel.notify.messages import Message, Mood

_MASK = "***"
_PARTS = re.compile(r"[\w.~+=-]{4,}")


class ByApprise:
    """A kind of notifier (`kinds.Notifier`)."""

    def problem_with(self, address: str) -> str:
        import apprise

        if apprise.Apprise.instantiate(address, suppress_exceptions=True) is None:
            return "Apprise does not know its address"
        return ""

    def send(self, address: str, message: Message) -> str:
        import apprise

        said: list[str] = []
        before = _SAID.set(said)
        apprise.logger.addHandler(_HANDLER)
        try:
            target = apprise.Apprise()
            if not target.add(address):
                return "Apprise does not know its address"
            moods: dict[Mood, apprise.NotifyType] = {
                "info": apprise.NotifyType.INFO,
                "success": apprise.NotifyType.SUCCESS,
                "warning": apprise.NotifyType.WARNING,
                "failure": apprise.NotifyType.FAILURE,
            }
            done = target.notify(
                title=message.title,
                body=message.body,
                notify_type=moods[message.mood],
                body_format=apprise.NotifyFormat.TEXT,
            )
        finally:
            _SAID.reset(before)
        if done:
            return ""
        return without_address((said or ["Apprise could not deliver it"])[0], address)


# Several messengers are reached at once, and Apprise has threads of its own, to which it hands the
# context: what is said of one address is not said of another, whose mask does not cover it.
_SAID: ContextVar[list[str] | None] = ContextVar("said", default=None)


class _Handler(logging.Handler):
    """Keeps the warnings of the call in whose context they come."""

    def emit(self, record: logging.LogRecord) -> None:
        said = _SAID.get()
        if said is not None:
            said.append(" ".join(record.getMessage().split()))


_HANDLER = _Handler(logging.WARNING)


def without_address(text: str, address: str) -> str:
    """The text without anything that stands in the address, as it stands there or decoded."""
    parts = {*_PARTS.findall(address), *_PARTS.findall(unquote(address))}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, _MASK)
    return text
