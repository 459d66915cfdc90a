"""Work beside the main thread whose tools do not outlive it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Self, TypeVar

from cartwheel.build.tool import TERMINATE_SECONDS, abandoned

# Twice SIGTERM's grace, and time to notice.
_END_SECONDS = 2 * TERMINATE_SECONDS + 1

T = TypeVar("T")


class Background(Generic[T]):
    """Runs `work` at once. As a context manager: whoever leaves the block before its end,
    by Ctrl-C or because a host failed, ends the tools that it runs."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._future: Future[T] = Future()
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def result(self) -> T:
        """What `work` returned; raises what it raised."""
        return self._future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self._leave.set()
        self._thread.join(_END_SECONDS)

    def _run(self, work: Callable[[], T]) -> None:
        abandoned.set(self._leave)  # a new thread has a context of its own
        try:
            self._future.set_result(work())
        except BaseException as error:
            self._future.set_exception(error)
