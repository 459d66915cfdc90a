"""The pip for hosts: a pinned wheel, downloaded once from the index, checked by hash."""

from __future__ import annotations

import sys
from pathlib import Path

from cartwheel.build import store, tool
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


def pip_wheel(state: Path, emit: Emit, *, access: Access | None = None) -> Path:
    """The pinned pip wheel, checked by hash. `access` defaults to pip's own configuration.

    Raises BuildError: index-unreachable, index-lacks, hash-mismatch.
    """
    import os

    place = state / "pip" / PIP_WHEEL
    if _right(place):
        return place
    with store.exclusive(state, STEP, emit):
        if not _right(place):
            emit(Event(STEP, "start", f"fetching pip {PIP_VERSION}"))
            _fetch(place, access or pip_access(os.environ), state, emit)
            emit(Event(STEP, "done", PIP_WHEEL))
    return place


def _right(place: Path) -> bool:
    return place.is_file() and store.sha256_of(place) == PIP_SHA256


def _fetch(place: Path, access: Access, state: Path, emit: Emit) -> None:
    """Let uv install that pip, with its hash, and let this pip download its own wheel.

    The operator's environment need not have a pip, and uv has no `download`.
    """
    from cartwheel.build.explain import explain_pip, explain_uv

    wanted = f"pip=={PIP_VERSION}"
    with store.scratch(state) as folder:
        pinned = folder / "pip.txt"
        pinned.write_text(f"{wanted} --hash=sha256:{PIP_SHA256}\n", encoding="utf-8")
        target = folder / "installed"
        argv = [uv_program(), "pip", "install", "--target", str(target), "--require-hashes"]
        argv += ["--no-deps", "--only-binary", "pip", "--python", sys.executable, "-r", str(pinned)]
        env = of_tools(uv_environment(access))
        env["UV_CACHE_DIR"] = str(folder / "uv")
        done = tool.run_tool(
            argv, env=env, cwd=folder, deadline_seconds=FETCH_SECONDS, emit=emit, step=STEP
        )
        if done.returncode != 0:
            raise explain_uv(done, access, wanted)
        argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
        argv += ["--only-binary", "pip", "--dest", str(folder / "wheel"), "-r", str(pinned)]
        env = of_tools({**local_pip_environment(access), "PYTHONPATH": str(target)})
        done = tool.run_tool(
            argv, env=env, cwd=folder, deadline_seconds=FETCH_SECONDS, emit=emit, step=STEP
        )
        found = folder / "wheel" / PIP_WHEEL
        if done.returncode != 0 or not found.is_file():
            raise explain_pip(done, access, wanted)
        if not _right(found):
            raise BuildError(
                "hash-mismatch", f"{PIP_WHEEL} on {access.name} differs from the pinned one"
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        found.replace(place)
