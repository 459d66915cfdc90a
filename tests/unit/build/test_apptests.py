"""How the application's own tests ended."""

from __future__ import annotations

import pytest

from cartwheel.build.apptests import outcome


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("...\n5 passed in 0.43s", "5 passed in 0.43s"),
        (
            "...\n-----\nRan 3 tests in 0.186s\n\nOK\nDestroying test database for alias 'x'...",
            "Ran 3 tests in 0.186s",
        ),
        ("Ran 1 test in 2s\n\nOK", "Ran 1 test in 2s"),
        ("", "passed"),
    ],
)
def test_the_line_that_says_it(said: str, shown: str) -> None:
    assert outcome(said) == shown
