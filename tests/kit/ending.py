"""How tests and measurements end when they are interrupted."""

from __future__ import annotations

import signal


def clean_up_when_ended() -> None:
    """Treat SIGTERM (`timeout`, a CI that gives up) and SIGHUP (a closed terminal) like Ctrl-C:
    everything is cleaned up.

    This also works in the background and for children: a shell starts background jobs with SIGINT
    ignored, nohup ignores SIGHUP, and children inherit that.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
