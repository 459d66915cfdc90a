"""`bench/endurance`, shorter: deploys and rollbacks in a row, nobody notices, nothing stays."""

from __future__ import annotations

import pytest

from bench import census, endurance
from bench.endurance import Row, Served
from cartwheel_lab import LabHost

pytestmark = pytest.mark.timeout(600)

ROUNDS = 10
SERVED = Served(https=True)
# Tests share the machine with each other: seconds are judged by the bench, on a quiet one.
SHARED_ROLLBACK_SECONDS = 20.0


@pytest.fixture(scope="module")
def rows(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    folder = tmp_path_factory.mktemp("endurance")
    found = endurance.endure(
        module_host,
        folder,
        ROUNDS,
        SERVED,
        keep_releases=2,
        rollback_seconds=SHARED_ROLLBACK_SECONDS,
    )
    print(endurance.table(found))
    return found


@pytest.mark.nightly
def test_nothing_is_over_its_limit(rows: list[Row]) -> None:
    assert [row for row in rows if row.is_over] == []


@pytest.mark.nightly
def test_the_table_shows_everything_that_was_asked_for(rows: list[Row]) -> None:
    shown = {row.what for row in rows if row.most is not None}
    wanted = {"processes", "units", "open files", "mounts", "requests that failed"}
    assert wanted <= shown
    assert any("/srv/shop" in what for what in shown)
    assert any("init.scope" in what for what in shown)


@pytest.mark.nightly
def test_what_stays_is_seen(module_host: LabHost, rows: list[Row]) -> None:
    """The census sees a process, a unit, an open file, a mount, a file and memory more."""
    assert rows
    before = census.of(module_host, endurance.APP)
    module_host.sh(
        "systemd-run --quiet --unit=stray -p PrivateTmp=yes -p PrivateMounts=yes "
        "sh -c 'exec 9</etc/passwd; exec sleep 600'; "
        "systemctl reset-failed; systemd-run --quiet --unit=failing false; "
        "touch /srv/shop/stray /run/stray"
    )
    try:
        after = census.of(module_host, endurance.APP)
    finally:
        module_host.sh(
            "systemctl stop stray; systemctl reset-failed; rm /srv/shop/stray /run/stray"
        )
    over = {row.what for row in endurance.of_host(before, after, ROUNDS, SERVED) if row.is_over}
    assert over >= {"processes", "units", "open files", "mounts", "KiB in /srv/shop", "KiB in /run"}


def test_every_violation_counts() -> None:
    assert Row("late", 1, most=0).is_over
    assert Row("served", 0, least=1).is_over
    assert not Row("served", 1, most=1, least=1).is_over
    assert "OVER" in endurance.table([Row("late", 1, most=0)])
