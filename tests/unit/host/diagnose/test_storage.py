"""What takes the room on a disk, and what grows."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cartwheel.host.diagnose import log_growth, storage
from cartwheel.host.wire.diagnosis import Storage

_MB = 1 << 20


def _disk(folder: Path) -> storage._Disk:
    return storage._Disk("/", ["the app"], folder.stat().st_dev)


def _walked(folder: Path, **more: int) -> storage._Disk:
    disk = _disk(folder)
    storage.walk(str(folder), {disk.device: disk}, time.monotonic() + 5)
    return disk


def _found(disk: storage._Disk, rates: dict[str, float] | None = None) -> Storage:
    return storage._storage(disk, rates or {}, time.time())


def test_the_largest_files_and_folders_are_found(tmp_path: Path) -> None:
    big = tmp_path / "app.log"
    big.write_bytes(b"x" * 3 * _MB)
    (tmp_path / "uploads").mkdir()
    for number in range(40):
        (tmp_path / "uploads" / f"{number}.bin").write_bytes(b"x" * 100_000)
    sparse = tmp_path / "lastlog"
    with sparse.open("wb") as file:
        file.truncate(500 * _MB)
    found = _found(_walked(tmp_path)).largest
    assert list(found) == [f"{tmp_path}/uploads/", str(big)]
    assert found[str(big)] >= 3 * _MB


def test_a_folder_with_many_entries_is_found(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    for number in range(1200):
        (tmp_path / "sessions" / str(number)).touch()
    assert _found(_walked(tmp_path)).crowded == {f"{tmp_path}/sessions": 1200}


def test_a_walk_ends_at_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        (tmp_path / str(number)).touch()
    disk = _disk(tmp_path)
    by_device = {disk.device: disk}
    assert storage.walk(str(tmp_path), by_device, time.monotonic() + 5)
    assert not storage.walk(str(tmp_path), by_device, time.monotonic() - 1)
    monkeypatch.setattr(storage, "_TREE_ENTRIES", 10)
    assert not storage.walk(str(tmp_path), by_device, time.monotonic() + 5)
    assert storage.walk(str(tmp_path / "none"), by_device, time.monotonic() + 5)


def test_other_file_systems_and_folders_that_are_walked_alone_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 2 * _MB)
    disk = _disk(tmp_path)
    end = time.monotonic() + 5
    storage.walk(str(tmp_path), {disk.device: disk}, end, (str(tmp_path / "a"),))
    assert disk.files == {}
    storage.walk(str(tmp_path), {disk.device + 1: disk}, end)
    assert disk.files == {}
    assert storage._device_of(str(tmp_path / "gone" / "too")) == disk.device


def test_a_deleted_file_that_is_open_is_found(tmp_path: Path) -> None:
    disk = _disk(tmp_path)
    with (tmp_path / "gone.log").open("wb") as file:
        file.write(b"x" * 5 * _MB)
        file.flush()
        Path(file.name).unlink()
        storage._add_deleted([disk])
    ours = [name for name in disk.deleted if name.startswith(f"{tmp_path}/gone.log (open in ")]
    assert len(ours) == 1
    assert disk.deleted[ours[0]] >= 5 * _MB
    assert f"process {os.getpid()})" in ours[0]


def test_only_what_grew_steadily_grows_now(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"x" * 4 * _MB)
    disk = _walked(tmp_path)
    assert _found(disk, {str(log): 1000.0}).growth_now == 3_600_000
    assert _found(disk, {str(log): float(_MB)}).growth_now is None  # a burst of four seconds
    assert _found(disk, {str(log): _MB * 0.7}).growth_now == int(_MB * 0.7 * 3600)
    assert _found(disk, {str(log): 0.0}).growth_now is None
    assert _found(disk, {str(log): 1000.0}).growing == {str(log): 3_600_000}


@pytest.mark.parametrize(
    ("path", "is_log"),
    [
        ("/srv/shop/shared/debug.log", True),
        ("/srv/shop/shared/log", True),
        ("/var/log/shop/output", True),
        ("/srv/shop/shared/debug.log.1", True),
        ("/srv/shop/shared/nohup.out", True),
        ("/srv/shop/shared/events.jsonl", True),
        ("/srv/shop/shared/catalog", False),
        ("/srv/shop/shared/uploads/film.mp4", False),
        ("/tmp/sortA1b2", False),
    ],
)
def test_only_a_log_goes_on_growing(path: str, is_log: bool) -> None:
    assert (storage.steady_seconds(path) < 10) == is_log


def test_what_was_not_written_to_lately_does_not_grow(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"x" * 4 * _MB)
    old = time.time() - 7200
    os.utime(log, (old, old))
    assert _walked(tmp_path).written == {}


def test_the_mount_of_a_path() -> None:
    assert storage.mount_of("/proc/self") == "/proc"
    assert storage.mount_of("/") == "/"


# --- growth by the times of lines ---------------------------------------------------------

_NOW = 1_796_002_400.0  # 2026-11-30T01:33:20Z
# As nginx, Apache, PostgreSQL, Redis, dpkg, rsyslog and systemd wrote them.
_LINES = [
    b'127.0.0.1 [2026-11-30T01:33:20+00:00] localhost "GET /healthz HTTP/1.1" 200 44',
    b'127.0.0.1 - - [30/Nov/2026:02:33:20 +0100] "GET / HTTP/1.1" 200 5',
    b"2026-11-30T01:33:20.123456+00:00 web1 cron[1]: x",
    b'{"time": "2026-11-30T01:33:20Z", "level": "error"}',
]
_LOCAL = [
    b'2026/11/30 01:33:20 [notice] 311#311: using inherited sockets from "5;6;"',
    b"2026-11-30 01:33:20.326 UTC [3713] LOG:  starting PostgreSQL 15.18",
    b"2026-11-30 01:33:20 status installed nginx-common:all 1.22.1-9+deb12u9",
    b"2113:C 30 Nov 2026 01:33:20.931 * Supervised by systemd.",
    b"Nov 30 01:33:20 lab1 sshd[4542]: pam_env(sshd:session)",
    b"[Mon Nov 30 01:33:20.012345 2026] [mpm_event:notice] [pid 1:tid 2] AH00489: x",
]


@pytest.mark.parametrize("line", _LINES)
def test_times_with_a_zone(line: bytes) -> None:
    assert log_growth.time_of(line, _NOW) == _NOW


@pytest.mark.parametrize("line", _LOCAL)
def test_times_in_the_hosts_zone(line: bytes) -> None:
    local = time.mktime((2026, 11, 30, 1, 33, 20, 0, 0, -1))
    assert log_growth.time_of(line, _NOW) == local


@pytest.mark.parametrize(
    "line", [b"", b"Traceback (most recent call last):", b"\xff\xfe\x00", b"2026-13-45T99:00:00Z"]
)
def test_no_times(line: bytes) -> None:
    assert log_growth.time_of(line, _NOW) is None


def test_a_day_of_the_last_year() -> None:
    new_year = time.mktime((2027, 1, 2, 0, 0, 0, 0, 0, -1))
    found = log_growth.time_of(b"Dec 31 23:00:00 web1 x", new_year)
    assert found == time.mktime((2026, 12, 31, 23, 0, 0, 0, 0, -1))


def _write(path: Path, times: list[float], padding: int = 1000) -> None:
    lines = [
        time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime(at)) + "x" * padding + "\n  more\n"
        for at in times
    ]
    path.write_text("".join(lines))


def test_growth_of_the_last_hour(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    # Four hours, a line every 5 s: 720 lines an hour.
    _write(log, [_NOW - 14400 + 5 * number for number in range(2880)])
    grown = log_growth.bytes_an_hour(str(log), _NOW)
    assert grown == pytest.approx(720 * 1029, rel=0.1)


def test_growth_of_a_young_log_counts_as_if_it_were_ten_minutes_old(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    _write(log, [_NOW - 20 + number / 50 for number in range(1000)])
    assert log_growth.bytes_an_hour(str(log), _NOW) == log.stat().st_size * 6


def test_growth_without_times(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("no time\n" * 1000)
    assert log_growth.bytes_an_hour(str(log), _NOW) is None
    rotated = tmp_path / "app.log.1"
    rotated.touch()
    os.utime(rotated, (_NOW - 7200, _NOW - 7200))
    assert log_growth.bytes_an_hour(str(log), _NOW) == 4000
    assert log_growth.bytes_an_hour(str(tmp_path / "none"), _NOW) is None


def test_what_somebody_put_in_the_place_of_a_log_is_not_read(tmp_path: Path) -> None:
    _write(tmp_path / "secret", [_NOW - 20 + number / 50 for number in range(1000)])
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "link.log").symlink_to(tmp_path / "secret")
    for name in ("pipe.log", "link.log", "none.log"):
        assert log_growth.bytes_an_hour(str(tmp_path / name), _NOW) is None
