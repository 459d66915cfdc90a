"""uv: one for all applications of a host, installed by `fab setup`, or else the host's own."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from cartwheel.host import layout
from cartwheel.host.release import package_index, uv_output
from cartwheel.host.system import files, reach
from cartwheel.host.wire import facts

_PATH = "/usr/local/bin:/usr/bin:/bin"
_NO_CACHE = "--no-cache"


class Uv:
    """One kind of installer (see `installer.Installer`)."""

    name = "uv"

    def __init__(self, program: str, named: Dict[str, str]) -> None:
        self._uv = program
        self._named = named

    def index(self) -> Dict[str, str]:
        return package_index.for_uv(self._named)

    def install(self, python: str, lock: Path, *, cached: bool) -> List[str]:
        how = ["--compile-bytecode", *package_index.uv_arguments(self._named)]
        how += [] if cached else [_NO_CACHE]
        exactly = ["--no-deps", "--require-hashes", "-r", str(lock)]
        return [self._uv, "pip", "install", "--python", python, *how, *exactly]

    def forget(self, names: List[str], /) -> List[str]:
        return [self._uv, "cache", "clean", *names]

    def check(self, python: str) -> List[str]:
        return [self._uv, "pip", "check", _NO_CACHE, "--python", python]

    def ask(self) -> List[str]:
        # uv has no command for a query: this one resolves a single name, and prints it.
        only = ["--quiet", "--no-deps", _NO_CACHE, "--python", sys.executable]
        return [self._uv, "pip", "compile", *only, *package_index.uv_arguments(self._named), "-"]

    def explain(self, output: str) -> Optional[Tuple[str, str]]:
        mirror = self.index().get("UV_DEFAULT_INDEX") or "the default package index"
        return uv_output.classify_uv_output(output, mirror)

    def mismatch(self, output: str) -> str:
        return uv_output.incompatible(output) or uv_output.first_error(output)


def find(version: str, user: str) -> Optional[facts.Uv]:
    """The uv that `fab setup` installed, in this version or else the newest; or else one of the
    host's own that `user` may run. None if there is none."""
    brought = [one for one in files.names(layout.UV) if not one.startswith(".")]
    if brought:
        best = max(brought, key=lambda one: (one == version, _numbers(one)))
        return facts.Uv(str(layout.UV / best / "uv"), best)
    own = shutil.which("uv", path=_PATH)
    if own is None or reach.obstacle(own, reach.account(user), execute=True):
        return None
    return facts.Uv(own, "")


def _numbers(version: str) -> List[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
