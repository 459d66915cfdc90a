"""How many hosts `fab lab.up` starts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cartwheel.errors import UsageError
from cartwheel_lab.tasks import wanted_hosts


@pytest.mark.parametrize(
    ("named", "count", "wanted"),
    [((), 1, 1), ((), 3, 3), (("lab1",), 1, 1), (("lab2", "lab1"), 1, 2), (("lab1", "lab2"), 2, 2)],
)
def test_as_many_as_were_named_or_counted(named: Sequence[str], count: int, wanted: int) -> None:
    assert wanted_hosts(named, count) == wanted


@pytest.mark.parametrize(
    ("named", "count", "why"),
    [
        ((), 0, "--count 0: at least one"),
        (("lab2",), 1, "-H lab2: the hosts are named lab1"),
        (("lab1", "web1"), 1, "-H lab1,web1: the hosts are named lab1,lab2"),
        (("lab1",), 2, "-H lab1: the hosts are named lab1,lab2"),
    ],
)
def test_no_other_name_can_be_chosen(named: Sequence[str], count: int, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        wanted_hosts(named, count)
