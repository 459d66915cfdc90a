"""The progress of a transfer and of an installer."""

from __future__ import annotations

import pytest

from cartwheel.host.release.build_advice import doing
from cartwheel.host.system.transfer import Transfer

MB = 1_000_000


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_once_a_second_with_speed_and_time_left() -> None:
    clock = Clock()
    transfer = Transfer(40 * MB, "sent", clock)
    assert transfer.report(0) is None
    clock.now += 1
    assert transfer.report(2 * MB) == "2.0 of 40.0 MB sent (5 %), 2.0 MB/s, 19 s left"
    clock.now += 0.5
    assert transfer.report(3 * MB) is None
    clock.now += 0.5
    assert transfer.report(4 * MB) == "4.0 of 40.0 MB sent (10 %), 2.0 MB/s, 18 s left"


def test_the_speed_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    transfer = Transfer(100 * MB, "fetched", clock)
    done = 0
    for speed in [10 * MB] * 5 + [100_000] * 6:
        clock.now += 1
        done += speed
        said = transfer.report(done)
    assert said == "50.6 of 100.0 MB fetched (50 %), 100 kB/s, 8 min 14 s left"
    for _ in range(6):
        clock.now += 1
        said = transfer.report(done)
    assert said == "50.6 of 100.0 MB fetched (50 %), stalled"


def test_a_size_that_is_not_known() -> None:
    clock = Clock()
    transfer = Transfer(0, "sent", clock)
    clock.now += 1
    assert transfer.report(0) == "0.0 of 0.0 MB sent (100 %), stalled"
    clock.now += 1
    assert transfer.report(MB) == "1.0 of 1.0 MB sent (100 %), 500 kB/s, 0 s left"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["Collecting flask==3.1"], "Collecting flask==3.1"),
        (
            ["Collecting psycopg2==2.9.10 (from -r install.txt)", "  Using cached psycopg2.tar.gz",
             "  Installing build dependencies: started"],
            "building psycopg2==2.9.10 from source: installing build dependencies",
        ),
        (
            ["Collecting a", "Collecting b", "  Preparing metadata (pyproject.toml): started"],
            "building b from source: preparing metadata",
        ),
        (
            ["  Preparing metadata (pyproject.toml): finished with status 'done'"],
            "  Preparing metadata (pyproject.toml): finished with status 'done'",
        ),
        (
            ["Building wheels for collected packages: psycopg2",
             "  Building wheel for psycopg2 (pyproject.toml): started"],
            "building psycopg2 from source",
        ),
        (["   Building psycopg2==2.9.10"], "building psycopg2==2.9.10 from source"),
        (["Preparing metadata (setup.py): started"],
         "building a package from source: preparing metadata"),
        (["Building wheels for collected packages: psycopg2"],
         "Building wheels for collected packages: psycopg2"),
    ],
)  # fmt: skip
def test_what_is_built_is_named(lines: list[str], says: str) -> None:
    assert doing(lines) == says
