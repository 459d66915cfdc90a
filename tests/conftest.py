"""What every test may rely on."""

from __future__ import annotations

from tests.ending import clean_up_when_ended


def pytest_configure() -> None:
    clean_up_when_ended()
