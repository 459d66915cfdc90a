"""All messengers that Apprise knows (https://appriseit.com/services/)."""

from __future__ import annotations

import logging
import re

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

        said = _Said()
        apprise.logger.addHandler(said)
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
            apprise.logger.removeHandler(said)
        if done:
            return ""
        return without_address(said.first or "Apprise could not deliver it", address)


class _Said(logging.Handler):
    """Keeps the first warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.first = self.first or " ".join(record.getMessage().split())


def without_address(text: str, address: str) -> str:
    """The text without anything that stands in the address."""
    for part in sorted(set(_PARTS.findall(address)), key=len, reverse=True):
        text = text.replace(part, _MASK)
    return text
