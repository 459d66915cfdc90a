"""The signals by which programs finish their job and end, from their own documents."""

from __future__ import annotations

from cartwheel.settings.command_words import Word

USUAL = "SIGTERM"
# Programs that cut off their job at SIGTERM, and end gracefully at another signal.
_OTHERS = {
    "huey_consumer": "SIGINT",
    "huey_consumer.py": "SIGINT",
    "huey.bin.huey_consumer": "SIGINT",
    "run_huey": "SIGINT",
    "djangohuey": "SIGINT",
}


def of(words: tuple[Word, ...]) -> str:
    """The signal for a command."""
    names = [(word.literal or "").rpartition("/")[2] for word in words]
    return next((_OTHERS[name] for name in names if name in _OTHERS), USUAL)
