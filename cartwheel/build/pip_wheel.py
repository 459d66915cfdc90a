"""The pip for hosts: a pinned wheel, downloaded once from the index, checked by hash."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cartwheel.build import store, tool
from cartwheel.build.explain import explain_pip, explain_uv
from cartwheel.build.index import Access, local_pip_environment, pip_access, uv_environment
from cartwheel.build.uv import uv_program
from cartwheel.errors import BuildError
from cartwheel.events import Emit, Event
from cartwheel.process_env import of_tools

# The last pip that runs on Python 3.9 (its Requires-Python is >=3.9; pip 26 wants 3.10).
PIP_VERSION = "25.3"
PIP_SHA256 = "9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd"
PIP_WHEEL = f"pip-{PIP_VERSION}-py3-none-any.whl"
STEP = "pip"
FETCH_SECONDS = 300.0


@dataclass(frozen=True)
class Pinned:
    """A wheel that is downloaded from the index to `place`, and only with this hash."""

    requirement: str  # NAME==VERSION
    sha256: str
    place: Path

    @property
    def is_there(self) -> bool:
        return _right(self.place, self.sha256)

    def write(self, folder: Path) -> Path:
        """Write the requirement to a file, for uv or pip."""
        path = folder / "pinned.txt"
        path.write_text(f"{self.requirement} --hash=sha256:{self.sha256}\n", encoding="utf-8")
        return path

    def download(
        self,
        pip: Path,
        folder: Path,
        access: Access,
        emit: Emit,
        step: str,
        platforms: Iterable[str] = (),
    ) -> None:
        """Let the `pip` in a folder or a wheel download it: uv has no `download`."""
        argv = [sys.executable, f"{pip}/pip", "download", "--no-deps", "--require-hashes"]
        argv += ["--only-binary", ":all:", "--dest", str(folder / "wheel")]
        argv += ["-r", str(self.write(folder))]
        for tag in platforms:
            argv += ["--platform", tag]
        env = of_tools(local_pip_environment(access))
        done = tool.run_tool(
            argv, env=env, cwd=folder, deadline_seconds=FETCH_SECONDS, emit=emit, step=step
        )
        found = folder / "wheel" / self.place.name
        if done.status != 0 or not found.is_file():
            raise explain_pip(done, access, self.requirement)
        if not _right(found, self.sha256):
            raise BuildError(
                "hash-mismatch", f"{found.name} on {access.name} differs from the pinned one"
            )
        self.place.parent.mkdir(parents=True, exist_ok=True)
        found.replace(self.place)


def _right(place: Path, sha256: str) -> bool:
    return place.is_file() and store.sha256_of(place) == sha256


def pip_wheel(state: Path, emit: Emit, *, access: Access | None = None) -> Path:
    """The pinned pip wheel, checked by hash. `access` defaults to pip's own configuration.

    Raises BuildError: index-unreachable, index-lacks, hash-mismatch.
    """
    pinned = Pinned(f"pip=={PIP_VERSION}", PIP_SHA256, state / "pip" / PIP_WHEEL)
    if pinned.is_there:
        return pinned.place
    access = access or pip_access(os.environ)
    with store.exclusive(state, STEP, emit):
        if not pinned.is_there:
            emit(Event(STEP, "start", f"fetching pip {PIP_VERSION}"))
            with store.scratch(state) as folder:
                installed = _installed(pinned, folder, access, emit)
                pinned.download(installed, folder, access, emit, STEP)
            emit(Event(STEP, "done", PIP_WHEEL))
    return pinned.place


def _installed(pinned: Pinned, folder: Path, access: Access, emit: Emit) -> Path:
    """The same pip, installed by uv: the operator's environment need not have one."""
    target = folder / "installed"
    argv = [uv_program(), "pip", "install", "--target", str(target), "--require-hashes"]
    argv += ["--no-deps", "--only-binary", "pip", "--python", sys.executable]
    argv += [*(["--no-index"] if access.no_index else []), "-r", str(pinned.write(folder))]
    env = {**of_tools(uv_environment(access)), "UV_CACHE_DIR": str(folder / "uv")}
    done = tool.run_tool(
        argv, env=env, cwd=folder, deadline_seconds=FETCH_SECONDS, emit=emit, step=STEP
    )
    if done.status != 0:
        raise explain_uv(done, access, pinned.requirement)
    return target
