"""Start the sender, give it messages, and hear how that went, without ever waiting for long."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from cartwheel import process_env, programs
from cartwheel.errors import UsageError
from cartwheel.hidden import Hidden
from cartwheel.notify.messages import Message

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from cartwheel.notify import sender"
_END_SECONDS = 2.0


def refuse_missing() -> None:
    """Raises UsageError("notify-missing") where Apprise is not installed."""
    if importlib.util.find_spec("apprise") is None:
        raise UsageError("notify-missing", "[notify] needs Apprise, which is not installed")


class Delivery:
    """Delivers messages to these messengers, each in order. Nothing of it outlives the block."""

    def __init__(self, addresses: Mapping[str, Hidden]) -> None:
        self._names = tuple(addresses)
        self._sent = 0
        self._answers: dict[tuple[int, str], str] = {}
        self._news = threading.Condition()
        self._over = False
        argv = [sys.executable, "-P", "-c", f"{_PROGRAM}; sender.main()", str(_ROOT)]
        self._process = programs.begin(argv, env=process_env.of_tools())
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._write({name: one.reveal() for name, one in addresses.items()})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        programs.end(self._process)
        self._listener.join(_END_SECONDS)

    def send(self, message: Message) -> None:
        """Give the message to the sender; it does not wait."""
        self._write(asdict(message))
        self._sent += 1

    def undelivered(self, within_seconds: float) -> dict[str, str]:
        """Which messengers have not taken all messages within that time, and why."""
        until = time.monotonic() + within_seconds
        wanted = [(number, name) for number in range(self._sent) for name in self._names]
        with self._news:
            while not self._over and not self._answers.keys() >= set(wanted):
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._news.wait(left)
            late = f"no answer within {within_seconds:.0f} s"
            if self._over:
                late = "the sender ended too early"
            problems = {name: self._answers.get((number, name), late) for number, name in wanted}
            for number, name in wanted:
                problem = self._answers.get((number, name), late)
                if problem:
                    problems[name] = problem
        return {name: problem for name, problem in problems.items() if problem}

    def _write(self, value: object) -> None:
        pipe = self._process.stdin
        with suppress(OSError):  # a sender that is gone is told by `undelivered`
            if pipe is not None:
                pipe.write(json.dumps(value).encode() + b"\n")
                pipe.flush()

    def _listen(self) -> None:
        pipe = self._process.stdout
        for line in pipe or ():
            number, name, problem = json.loads(line)
            with self._news:
                self._answers[number, name] = problem
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()
