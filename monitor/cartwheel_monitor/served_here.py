"""How gunicorn serves the page of `fab dashboard`: its settings, and its end.

Its standard input is a pipe that `fab` holds. When `fab` is gone, however it ended, so is the page.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import Protocol

workers = 1
worker_class = "gthread"
threads = 8
accesslog = None
loglevel = "warning"
control_socket_disable = True
umask = 0o077
timeout = 60
graceful_timeout = 1
forwarded_allow_ips = ""


class _Worker(Protocol):
    ppid: int


def post_worker_init(worker: _Worker) -> None:
    """Called by gunicorn in its worker, which is started again if it dies."""
    logging.getLogger("gunicorn.error").addFilter(_without_token)
    threading.Thread(target=_end_with_fab, args=(worker.ppid,), daemon=True).start()


def _end_with_fab(gunicorn: int) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    if os.getppid() == gunicorn:
        os.kill(gunicorn, signal.SIGTERM)


def _without_token(record: logging.LogRecord) -> bool:
    """A request that fails is logged with its address. (The application is imported late: gunicorn
    itself needs none.)"""
    from cartwheel_monitor.web import TOKEN_VARIABLE

    token = os.environ.get(TOKEN_VARIABLE, "")
    record.msg, record.args = record.getMessage().replace(token or "\0", "***"), ()
    return True
