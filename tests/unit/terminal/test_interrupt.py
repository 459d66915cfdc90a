"""Ctrl-C at any moment: no lock stays taken, so nothing waits for ever."""

from __future__ import annotations

import subprocess
import sys

# The main thread waits for work as it does for hosts, while signals come all the time. Prints how
# often they came, and how often a lock of the work was left taken.
SHOT_AT = """
import os, signal, threading, time
from concurrent.futures import Future, wait
from cartwheel.terminal import interrupt

armed, came, left, work = False, 0, 0, Future()

def handle():
    global armed
    if armed:
        armed = False
        raise KeyboardInterrupt

def shoot():
    while True:
        time.sleep(0.0005)
        os.kill(os.getpid(), signal.SIGTERM)

handler = interrupt.Handler(handle)
signal.signal(signal.SIGTERM, handler)
signal.signal(interrupt.AGAIN, handler)
threading.Thread(target=shoot, daemon=True).start()
end = time.monotonic() + 2.0
while time.monotonic() < end:
    try:
        armed = True
        while True:
            wait([work], timeout=0)
    except KeyboardInterrupt:
        came += 1
    if work._condition._is_owned():
        left, work = left + 1, Future()
print(came, left, flush=True)
os._exit(0)
"""


def test_no_lock_stays_taken() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOT_AT], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    came, left = map(int, done.stdout.split())
    assert came > 10
    assert left == 0
