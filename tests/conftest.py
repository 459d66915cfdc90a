"""What every test may rely on."""

from __future__ import annotations

from hypothesis import settings

from tests.ending import clean_up_when_ended


def pytest_configure() -> None:
    clean_up_when_ended()
    # No test judges time: on a busy machine any example may take long.
    settings.register_profile("cartwheel", deadline=None)
    settings.load_profile("cartwheel")
