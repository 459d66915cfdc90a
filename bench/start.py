"""`fab --list` here against stock fabric with a fabfile of one task, in turn.

Processor time, which other work on the machine disturbs least; the first start in a
clone, where everything is compiled, is measured as well.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.kit.project import surroundings

REPO = Path(__file__).resolve().parent.parent
FAB = Path(sys.executable).with_name("fab")
STOCK = 'from fabric import task\n\n\n@task\ndef one(c):\n    "One."\n'


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15)
    rounds = options.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="cartwheel-bench-") as scratch:
        stock = Path(scratch) / "stock"
        stock.mkdir()
        (stock / "fabfile.py").write_text(STOCK)
        seconds(stock)
        seconds(REPO)
        pairs = [(seconds(REPO), seconds(stock)) for _ in range(rounds)]
        clones = [clone(Path(scratch) / f"clone{number}") for number in range(rounds)]
        firsts = [(seconds(each), seconds(stock)) for each in clones]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    first = statistics.median(column for column, _ in firsts)
    ratio, first_ratio = (statistics.median(a / b for a, b in column) for column in (pairs, firsts))
    print(f"fab --list, processor seconds, medians of {rounds} pairs")
    print(f"  stock fabric, one task   {theirs:.3f}")
    print(f"  cartwheel                {ours:.3f}   {ratio:.2f} times stock, pair by pair")
    print(f"  cartwheel, first start   {first:.3f}   {first_ratio:.2f} times stock, pair by pair")


def clone(folder: Path) -> Path:
    """The project without any bytecode, as after `git clone`."""
    folder.mkdir()
    shutil.copy(REPO / "fabfile.py", folder)
    for name in ("tasks", "cartwheel", "lab"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def seconds(folder: Path) -> float:
    """User and system time of one `fab --list`."""
    command = [str(FAB), "--list"]
    child = subprocess.Popen(command, cwd=folder, env=surroundings(), stdout=subprocess.DEVNULL)
    _pid, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"fab --list failed in {folder}")
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
