"""What tests plant in a copy of Cartwheel has its place: some of them run at night only."""

from __future__ import annotations

import pytest

from tests.kit.project import CHECKOUT
from tests.lab.test_durability import PLANTED
from tests.lab.test_points import NEW_STEP, NOTHING_AFTER_A_KILL
from tests.lab.test_readers import EARLIER


@pytest.mark.parametrize(
    ("file", "there"),
    [planted[:2] for planted in (*PLANTED, *EARLIER, NEW_STEP, NOTHING_AFTER_A_KILL)],
)
def test_it_has_its_place(file: str, there: str) -> None:
    assert (CHECKOUT / file).read_text().count(there) == 1
