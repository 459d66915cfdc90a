"""Which run tries what: every run one way of each thing, the nightly run all of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import TypeVar

import pytest
from _pytest.mark.structures import ParameterSet

Value = TypeVar("Value")


def tiered(values: Iterable[Value], *, nightly: Collection[object]) -> list[Value | ParameterSet]:
    """The parameters, of which `nightly` ones are tried by `script/test --nightly` only.

    A value that has a name (a case of a table) goes by it.
    """
    named = [(value, getattr(value, "name", value)) for value in values]
    unknown = set(nightly) - {name for _value, name in named}
    assert not unknown, f"no such parameters: {unknown}"
    return [
        pytest.param(value, marks=pytest.mark.nightly) if name in nightly else value
        for value, name in named
    ]


def only_root(may: str) -> pytest.MarkDecorator:
    """For a unit test of what a kernel lets only root do; CI and the lab run as root."""
    return pytest.mark.skipif(os.geteuid() != 0, reason=f"only root {may}")
