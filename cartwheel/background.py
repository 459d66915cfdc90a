"""Work in threads. Its programs are ended when nothing waits for the work any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from typing import Generic, Self, TypeVar

_SLICE_SECONDS = 0.1  # waiting in slices lets Ctrl-C through at once
# Twice the time between SIGTERM and SIGKILL (programs.py), and time to notice.
_END_SECONDS = 5.0

T = TypeVar("T")
K = TypeVar("K")


class Leave:
    """Whether the work of a thread, or the work that it is part of, was abandoned."""

    def __init__(self) -> None:
        self._left = threading.Event()
        self._outer = _leave.get()

    def set(self) -> None:
        self._left.set()

    def is_set(self) -> bool:
        return self._left.is_set() or (self._outer is not None and self._outer.is_set())


# For the work that this thread does.
_leave: ContextVar[Leave | None] = ContextVar("leave", default=None)


def is_abandoned() -> bool:
    """Whether nothing waits for this thread's work any more."""
    leave = _leave.get()
    return leave is not None and leave.is_set()


class Background(Generic[T]):
    """Starts `work` at once, in a thread. As a context manager it ends the programs of `work` when
    the block is left early, by Ctrl-C or because a host failed."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._future: Future[T] = Future()
        self._leave = Leave()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def result(self) -> T:
        """The result of `work`; raises the error of `work`."""
        return self._future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self._leave.set()
        self._thread.join(_END_SECONDS)

    def _run(self, work: Callable[[], T]) -> None:
        _leave.set(self._leave)  # a new thread has a context of its own
        try:
            self._future.set_result(work())
        except BaseException as error:
            self._future.set_exception(error)


def side_by_side(work: Callable[[K], T], things: Iterable[K], most: int) -> dict[K, T]:
    """The result of `work` for each of the `things`, `most` at a time.

    Ctrl-C or the first failure ends the wait, and the programs of all others.
    """
    leave = Leave()

    def do(thing: K) -> T:
        _leave.set(leave)
        return work(thing)

    with ThreadPoolExecutor(most) as pool:
        try:
            futures = {thing: pool.submit(do, thing) for thing in things}
            left = set(futures.values())
            while left:
                done, left = wait(left, _SLICE_SECONDS, FIRST_EXCEPTION)
                for future in done:
                    future.result()  # raises its error
            return {thing: future.result() for thing, future in futures.items()}
        except BaseException:
            leave.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
