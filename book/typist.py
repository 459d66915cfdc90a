"""Run a command on a terminal of its own and answer its questions as a page shows them.

    python -m book.typist ANSWERS COMMAND

ANSWERS is a file with the lines that the page shows. Where the command waits behind the beginning
of one of them, the rest of that line is typed.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from pathlib import Path

_QUIET_SECONDS = 1.0
_SECONDS = 240.0
_GIVE_UP_AFTER = 20  # quiet seconds behind something that may be a prompt


def answer(shown: list[str], prompt: str) -> tuple[str, list[str]] | None:
    """What to type behind `prompt`, and the lines that come after; None if no line begins so."""
    for place, line in enumerate(shown):
        if line.startswith(prompt.rstrip()):
            return line[len(prompt.rstrip()) :].strip(), shown[place + 1 :]
    return None


def run(shown: list[str], argv: list[str]) -> int:
    """Run `argv`, print what its terminal shows; its exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)  # noqa: S606 - the page's own command
    line, quiet, until = b"", 0, time.monotonic() + _SECONDS
    while time.monotonic() < until:
        ready, _, _ = select.select([terminal], [], [], _QUIET_SECONDS)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # its other end is closed
                break
            if not data:
                break
            sys.stdout.buffer.write(data.replace(b"\r\n", b"\n"))
            sys.stdout.buffer.flush()
            quiet = 0
            line = (line + data).rsplit(b"\n", 1)[-1].rsplit(b"\r", 1)[-1]
        elif line.strip():
            found = answer(shown, line.decode(errors="replace"))
            if found is not None:
                text, shown = found
                os.write(terminal, text.encode() + b"\n")
                line, quiet = b"", 0
            else:
                quiet += 1
                if quiet >= _GIVE_UP_AFTER:
                    os.kill(pid, signal.SIGKILL)
                    print("\n(it waits, and no line of the page begins so)")
                    break
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]).read_text().splitlines(), ["bash", "-c", sys.argv[2]]))
