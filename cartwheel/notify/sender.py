"""The program that delivers messages: a process of its own, so that nothing holds a run up.

It reads lines of JSON from standard input, first the addresses by messenger, then messages, and
answers each messenger's result with a line. Addresses are secrets: they come by the pipe only.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from cartwheel.notify.kinds import KINDS, Notifier
from cartwheel.notify.messages import Message


def main() -> None:
    """Serve until the end of input. What a messenger's code prints is no answer."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(sys.stdin, answers)


def serve(asked: IO[str], answers: IO[str]) -> None:
    """Check the addresses, then deliver each message to all messengers at once, in order."""
    addresses: dict[str, str] = json.loads(asked.readline())
    lock = threading.Lock()

    def answer(number: int, name: str, problem: str) -> None:
        with lock:
            answers.write(json.dumps([number, name, problem]) + "\n")
            answers.flush()

    def deliver(number: int, name: str, message: Message) -> None:
        try:
            problem = found[name].send(addresses[name], message)
        except Exception as error:
            problem = f"unexpected {type(error).__name__}"  # its text may hold the address
        answer(number, name, problem)

    found: dict[str, Notifier] = {}
    problems: dict[str, str] = {}
    for name, address in addresses.items():
        for kind in KINDS:
            problems[name] = kind.problem_with(address)
            if not problems[name]:
                found[name] = kind
                break
    # One thread for each messenger keeps its messages in order.
    pools = {name: ThreadPoolExecutor(1) for name in found}
    for number, line in enumerate(asked):
        message = Message(**json.loads(line))
        for name in addresses:
            if name in found:
                pools[name].submit(deliver, number, name, message)
            else:
                answer(number, name, problems[name])
    for pool in pools.values():
        pool.shutdown()
