"""Which tests run when: one variant of each in every run, all variants in the nightly run."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import TypeVar

import pytest
from _pytest.mark.structures import ParameterSet

Value = TypeVar("Value")


def tiered(values: Iterable[Value], *, nightly: Collection[object]) -> list[Value | ParameterSet]:
    """The parameters; those in `nightly` are tried only by `script/test --nightly`.

    A value with a name (a case of a table) is listed by that name.
    """
    named = [(value, getattr(value, "name", value)) for value in values]
    unknown = set(nightly) - {name for _value, name in named}
    assert not unknown, f"no such parameters: {unknown}"
    return [
        pytest.param(value, marks=pytest.mark.nightly) if name in nightly else value
        for value, name in named
    ]


def is_nightly(request: pytest.FixtureRequest) -> bool:
    """Whether the run has nightly tests of this file, which may need more hosts or releases."""
    here = (item for item in request.session.items if item.path == request.path)
    return any(item.get_closest_marker("nightly") for item in here)


def only_root(may: str) -> pytest.MarkDecorator:
    """For a unit test of something that only root may do.

    `script/test --quick` runs as any user; CI and the lab run as root, and skip none of them.
    """
    return pytest.mark.skipif(os.geteuid() != 0, reason=f"only root {may}")
