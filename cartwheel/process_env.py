"""The environment of every program that is started on this machine: the user's or Cartwheel's.

In a git hook `fab` inherits GIT_DIR, GIT_INDEX_FILE and others. A program that works on another
repository, or on none, must not have them: it would change the repository that is being pushed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

# The variables of `git rev-parse --local-env-vars`, of every version of git so far.
GIT_LOCAL = frozenset(
    {"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT"}
    | {"GIT_CONFIG_PARAMETERS", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE"}
    | {"GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NO_REPLACE_OBJECTS"}
    | {"GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE"}
    | {"GIT_WORK_TREE"}
)

# Variables that change how our tools work: all of git's but those for reaching remotes.
_FOREIGN_PREFIXES = ("PYTHON", "LD_", "DYLD_", "PIP_", "UV_", "GIT_", "VIRTUAL_ENV", "CONDA_")
# A width of the terminal would wrap the messages that we read.
_FOREIGN = frozenset({"SOURCE_DATE_EPOCH", "BASH_ENV", "ENV", "COLUMNS", "LINES"})
_GIT_PREFIXES = (
    *("GIT_SSH", "GIT_SSL_", "GIT_HTTP_", "GIT_PROXY_", "GIT_ASKPASS"),
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"),
)

# git must not ask questions, nor refresh an index.
_GIT = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


def of_user(additions: Mapping[str, str] | None = None) -> dict[str, str]:
    """For the user's own commands: their environment, without the variables of a git hook."""
    kept = {name: value for name, value in os.environ.items() if name not in GIT_LOCAL}
    return {**kept, **(additions or {})}


def of_tools(additions: Mapping[str, str] | None = None) -> dict[str, str]:
    """For git, uv, pip and build back ends: without variables that would change what they do.
    Their indexes and certificates are among the `additions` (build/index.py)."""
    kept = {name: value for name, value in os.environ.items() if not _is_foreign(name)}
    return {**kept, **_GIT, **(additions or {})}


def _is_foreign(name: str) -> bool:
    if name.startswith(_GIT_PREFIXES):
        return False
    return name.startswith(_FOREIGN_PREFIXES) or name in _FOREIGN
