"""A sign of life for somebody else's watcher: if it stops, the monitor is dead, or hangs."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from cartwheel_monitor.language import later

EVERY_SECONDS = 60.0
# A watcher's loop runs four times a second. Longer than its slowest round, shorter than two signs.
PATIENCE_SECONDS = 90.0
_TIMEOUT_SECONDS = 10.0
_LEAST_STATUS, _MOST_STATUS = 200, 299


@dataclass(frozen=True)
class Sent:
    """How the last one went. `at`, for the page: None for none yet; `problem`: "" for nothing."""

    at: float | None = None
    problem: str = ""


class Heartbeat:
    """Asks `url` each minute, while `beat` is called. The address is a secret: no text has it."""

    def __init__(
        self, url: str, *, every: float = EVERY_SECONDS, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._url = url
        self._every = every
        self._patience = patience
        self._beaten: float | None = None
        self._ending = threading.Event()
        self._sent = Sent()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def beat(self) -> None:
        """The watcher's loop has run, and all is well with it."""
        self._beaten = time.monotonic()

    @property
    def sent(self) -> Sent:
        return self._sent

    def stop(self) -> None:
        self._ending.set()

    def _run(self) -> None:
        while not self._ending.is_set():
            beaten = self._beaten
            if beaten is not None and time.monotonic() - beaten <= self._patience:
                self._sent = Sent(time.time(), ask(self._url))
                pause = self._every
            else:
                pause = min(1.0, self._every)
            self._ending.wait(pause)


def ask(url: str) -> str:
    """Why the watcher there did not take it; "" if it did. The address stands in no text."""
    if not url.startswith(("http://", "https://")):
        return later("its address is not http:// or https://")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - checked
            status = int(answer.status)
    except urllib.error.HTTPError as error:
        return later("it answered with {status}", status=error.code)
    except urllib.error.URLError as error:
        reason = error.reason
        why = getattr(reason, "strerror", None) or type(reason).__name__
        return later("no answer ({why})", why=why)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return later("no answer ({why})", why=type(error).__name__)
    is_good = _LEAST_STATUS <= status <= _MOST_STATUS
    return "" if is_good else later("it answered with {status}", status=status)
