"""Provides what a process may lack: a home folder, a user name, its standard streams."""

from __future__ import annotations

import os
import pwd
import sys
from contextlib import suppress

from cartwheel.errors import UsageError

_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # where getpass.getuser looks first
_STREAMS = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


def open_streams() -> None:
    """Open the standard streams that are closed (`>&-`, some schedulers) on /dev/null. Otherwise
    the next socket would get that number, and output would go there."""
    for number, name, mode in _STREAMS:
        if getattr(sys, name) is not None:
            continue
        nothing = os.open(os.devnull, os.O_RDWR)
        if nothing != number and not _is_open(number):
            os.dup2(nothing, number)
            os.close(nothing)
            nothing = number
        setattr(sys, name, os.fdopen(nothing, mode))


def _is_open(number: int) -> bool:
    with suppress(OSError):
        os.fstat(number)
        return True
    return False


def complete_account() -> None:
    """Give a user without a name (a container's) their number as one, for libraries that ask. An
    empty $HOME counts as none.

    Raises UsageError where there is no home folder: records, caches and keys are there.
    """
    if os.environ.get("HOME") == "":
        del os.environ["HOME"]
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        number = str(os.getuid())
        if "HOME" not in os.environ:
            raise UsageError(
                "usage",
                f"HOME is not set, and this machine has no user with the number {number}",
                hint="Set HOME to a folder that this user may write.",
            ) from None
        if not any(os.environ.get(name) for name in _NAMES):
            os.environ["LOGNAME"] = number
