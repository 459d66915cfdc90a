"""The beginning of a program that must never run twice at once: it proves so by a lock of its own.

`begin(NAME)` takes NAME.lock and writes `TIME PID begins` to NAME.log, or `TIME PID twice` if
another one has the lock; `note(NAME, "ends")` belongs at the end.
"""

BEGINNING = """
import fcntl, os, sys, time

def note(name, what):
    with open(name + ".log", "a") as log:
        log.write(f"{time.time():.3f} {os.getpid()} {what}\\n")

def begin(name):
    global lock
    lock = open(name + ".lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(name, "twice")
        sys.exit(1)
    note(name, "begins")
"""
