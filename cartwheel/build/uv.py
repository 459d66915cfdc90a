"""The uv that Cartwheel runs on this machine: its program and its environment."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

from cartwheel import places
from cartwheel.build.index import Access, IndexOptions, uv_environment
from cartwheel.errors import BuildError
from cartwheel.process_env import of_tools
from cartwheel.programs import run

_HELP_SECONDS = 30.0
_DEFAULT = re.compile(r"--default-index .*?default:\s+<(https?://[^>\s]+)>", re.DOTALL)


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


def default_for(options: IndexOptions) -> str:
    """The index that uv asks if nobody names one; "" where no file of the source names an index,
    because nobody needs it then. Raises BuildError."""
    return _default_index() if options.places else ""


@functools.cache
def _default_index() -> str:
    """It is in uv's own help."""
    argv = (uv_program(), "pip", "compile", "--help")
    told = run(argv, env=of_tools(), cwd=Path.cwd(), deadline_seconds=_HELP_SECONDS)
    found = _DEFAULT.search(told.output_text)
    if found is None:
        raise BuildError("build-failed", "uv does not say which index it asks by default")
    return found[1].rstrip("/")
