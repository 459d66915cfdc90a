"""What every test may rely on."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Whoever ends the tests has them clean up: SIGTERM (`timeout`, a CI that gives up) and
    SIGHUP (a terminal that is closed) are as Ctrl-C. Here and in children, also where the tests
    run in the background: a shell starts background jobs with SIGINT ignored, nohup has SIGHUP
    ignored, and children inherit that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
