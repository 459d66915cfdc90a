"""The phases of a deploy, a rollback or a restart, before and after which hooks run."""

from __future__ import annotations

import typing
from typing import Literal, TypeAlias

from cartwheel.settings import toml_tables

Phase: TypeAlias = toml_tables.Phase
Kind: TypeAlias = Literal["deploy", "rollback", "restart"]

PHASES: tuple[Phase, ...] = typing.get_args(Phase)
"""In order. `run` is around all the others."""
# The release is already on the hosts, so these phases are skipped.
TO_MAKE: tuple[Phase, ...] = ("build", "prepare", "migrate")
# No host is connected in these phases.
HERE_ONLY: tuple[Phase, ...] = ("run", "build")


def has_phase(kind: Kind, phase: Phase) -> bool:
    """Whether a run of this kind has this phase."""
    return kind == "deploy" or phase not in TO_MAKE
