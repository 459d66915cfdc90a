"""pip: one for all applications of a host, which runs under each release's own interpreter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from cartwheel.host import layout
from cartwheel.host.release import package_index, pip_output

_QUIET = ("--no-input", "--disable-pip-version-check", "--progress-bar", "off")
_NO_CACHE = "--no-cache-dir"


class Pip:
    """One kind of installer (see `installer.Installer`)."""

    name = "pip"

    def __init__(self, version: str, named: Dict[str, str]) -> None:
        self._pip = str(layout.PIP / version / "pip")
        self._named = named

    def index(self) -> Dict[str, str]:
        return package_index.for_pip(self._named)

    def install(self, python: str, lock: Path, *, cached: bool) -> List[str]:
        # With the venv's own interpreter pip installs into the venv: no second start of
        # Python as with `pip --python`.
        kept = [] if cached else [_NO_CACHE]
        exactly = ["--no-deps", "--require-hashes", "-r", str(lock)]
        return [python, "-I", self._pip, "install", *_QUIET, *kept, *exactly]

    def forget(self, _names: List[str], /) -> List[str]:
        return []

    def check(self, python: str) -> List[str]:
        # A release that needs pip has its own; ours would hide it from the check.
        own = Path(python).parents[1].glob("lib/python*/site-packages/pip/__main__.py")
        program = ["-m", "pip"] if any(True for _ in own) else [self._pip]
        return [python, "-I", *program, "--disable-pip-version-check", "check"]

    def ask(self) -> List[str]:
        quick = ["--disable-pip-version-check", _NO_CACHE, "--retries", "1"]
        return [sys.executable, "-I", self._pip, "index", "versions", "pip", *quick]

    def explain(self, output: str) -> Optional[Tuple[str, str]]:
        return pip_output.classify_pip_output(output)

    def mismatch(self, output: str) -> str:
        said = pip_output.without_crash(output).strip().splitlines()
        return said[-1] if said else "pip check failed"
