"""What tests and measurements do when somebody ends them."""

from __future__ import annotations

import signal


def clean_up_when_ended() -> None:
    """SIGTERM (`timeout`, a CI that gives up) and SIGHUP (a terminal that is closed) are as Ctrl-C:
    whatever was made is taken away.

    Here and in children, also in the background: a shell starts background jobs with SIGINT
    ignored, nohup has SIGHUP ignored, and children inherit that.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
