"""What every test may rely on."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Ctrl-C works, here and in children, also where the tests run in the background: a shell
    starts background jobs with SIGINT ignored, nohup has SIGHUP ignored, and children inherit
    that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
