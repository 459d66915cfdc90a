"""The uv that Cartwheel runs on this machine: its program and its environment."""

from __future__ import annotations

import sys

from cartwheel import places
from cartwheel.build.index import Access, uv_environment
from cartwheel.errors import BuildError
from cartwheel.process_env import of_tools


def uv_program() -> str:
    """The uv of the pinned package; raises BuildError if it is not installed."""
    try:
        import uv

        return uv.find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise BuildError(
            "build-failed",
            "uv is not installed in Cartwheel's environment",
            hint=f"Run `{sys.executable} -m pip install -r requirements.txt`.",
        ) from error


def uv_variables(access: Access) -> dict[str, str]:
    """The environment of every uv that we run; its cache is in Cartwheel's cache."""
    env = of_tools(uv_environment(access))
    return {**env, "UV_CACHE_DIR": str(places.cache_dir() / "uv")}
