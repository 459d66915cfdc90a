"""Run the watcher with a profile of all its threads: `python -m bench.profiled FILE watch`."""

from __future__ import annotations

import cProfile
import pstats
import runpy
import sys
import threading
from contextlib import suppress
from pathlib import Path


def main() -> None:
    """The rest of the arguments is the monitor's."""
    file = Path(sys.argv.pop(1))
    profiles: list[cProfile.Profile] = []

    def begin(*_: object) -> None:
        sys.setprofile(None)
        own = cProfile.Profile()
        profiles.append(own)
        own.enable()

    threading.setprofile(begin)
    begin()
    with suppress(SystemExit):
        runpy.run_module("cartwheel_monitor", run_name="__main__", alter_sys=True)
    _write(profiles, file)


def _write(profiles: list[cProfile.Profile], file: Path) -> None:
    for number, one in enumerate(profiles):
        one.disable()
        one.dump_stats(f"{file}.{number}")
    whole = pstats.Stats(*(f"{file}.{number}" for number in range(len(profiles))))
    whole.dump_stats(file)


if __name__ == "__main__":
    main()
