"""The part of a log that a time needs."""

from __future__ import annotations

import gzip
import itertools
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel.host.diagnose import log_window
from cartwheel.host.diagnose.found import Window
from cartwheel.host.diagnose.log_window import Bounds

ALL = Bounds(whole=1 << 30, newest=0, spread=0, block=1)
# The times are those of files too: a file that nobody wrote to since is not read.
NOW = float(int(time.time()) - 10)


def time_of(line: str) -> float | None:
    head = line.partition(" ")[0]
    return float(head) if head.isdigit() else None


def written(path: Path, times: Iterator[int] | range, packed: bool = False) -> None:
    data = b"".join(b"%d a line of some length, with words\n" % at for at in times)
    path.write_bytes(gzip.compress(data) if packed else data)
    os.utime(path, (max(times, default=NOW),) * 2)


def times(path: Path, since: float, until: float, bounds: Bounds = ALL) -> list[float]:
    with log_window.opened(path, Window(since, until), time_of) as log:
        assert log.unread == ()
        parts = log_window.parts(log, bounds, time.monotonic() + 60)
    lines = b"".join(one.data for one in parts).decode().splitlines()
    return [at for line in lines if (at := time_of(line)) is not None]


@pytest.mark.parametrize("count", [0, 1, 3, 5000, 40_000])
def test_only_the_lines_of_that_time(tmp_path: Path, count: int) -> None:
    begin = int(NOW) - count
    written(tmp_path / "a.log", range(begin, begin + count))
    for since, until in ((begin - 9, NOW), (begin + count // 2, NOW), (begin + 7, NOW - 3)):
        wanted = [at for at in range(begin, begin + count) if since <= at < until]
        assert times(tmp_path / "a.log", since, until) == wanted


def test_older_files_are_read_as_far_as_they_are_needed(tmp_path: Path) -> None:
    begin = int(NOW) - 900
    written(tmp_path / "a.log", range(begin + 600, begin + 900))
    written(tmp_path / "a.log.1", range(begin + 300, begin + 600))
    written(tmp_path / "a.log.2.gz", range(begin, begin + 300), packed=True)
    (tmp_path / "a.log.3.gz").write_bytes(b"damaged, and too old to be read")
    os.utime(tmp_path / "a.log.3.gz", (begin - 5000,) * 2)
    (tmp_path / "a.log.old").write_text("something else\n")
    for since in (begin + 700, begin + 450, begin + 120, begin - 50):
        wanted = list(range(max(since, begin), begin + 900))
        assert times(tmp_path / "a.log", since, NOW) == wanted


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.log.2.gz").write_bytes(b"no gzip")
    (tmp_path / "a.log.1").mkdir()
    with log_window.opened(tmp_path / "a.log", Window(0, NOW), time_of) as log:
        assert log.size == 0
    assert [text.partition(": ")[0] for text in log.unread] == [
        str(tmp_path / "a.log.1"),
        str(tmp_path / "a.log.2.gz"),
    ]


def test_lines_without_a_time_belong_to_the_one_before(tmp_path: Path) -> None:
    begin = int(NOW) - 9000
    data = b"".join(b"%d said\n  and more\n" % at for at in range(begin, begin + 9000))
    (tmp_path / "a.log").write_bytes(data)
    assert times(tmp_path / "a.log", begin + 4000, NOW) == list(range(begin + 4000, int(NOW)))


def test_a_large_log_is_read_evenly_and_its_end_wholly(tmp_path: Path) -> None:
    begin = int(NOW) - 90_000
    written(tmp_path / "a.log", range(begin + 30_000, begin + 90_000))
    written(tmp_path / "a.log.1", range(begin, begin + 30_000))
    bounds = Bounds(whole=100_000, newest=50_000, spread=200_000, block=2_000)
    with log_window.opened(tmp_path / "a.log", Window(begin, NOW), time_of) as log:
        parts = log_window.parts(log, bounds, time.monotonic() + 60)
    counts = [part.data.count(b"\n") * part.weight for part in parts]
    assert sum(counts) == pytest.approx(90_000, rel=0.02)
    assert parts[-1].weight == 1.0
    assert parts[0].weight > 10
    firsts = [time_of(part.data.decode()) or 0.0 for part in parts]
    assert firsts == sorted(firsts)
    assert firsts[0] < begin + 100
    gaps = [after - one for one, after in itertools.pairwise(firsts)]
    assert max(gaps) < 3 * 90_000 / len(parts)
    assert all(line.endswith(b"words") for part in parts for line in part.data.splitlines())


def test_a_deadline_leaves_out_blocks_evenly(tmp_path: Path) -> None:
    begin = int(NOW) - 60_000
    written(tmp_path / "a.log", range(begin, begin + 60_000))
    bounds = Bounds(whole=1000, newest=1000, spread=200_000, block=2_000)
    with log_window.opened(tmp_path / "a.log", Window(begin, NOW), time_of) as log:
        [block, newest] = log_window.parts(log, bounds, time.monotonic() - 1)
    assert block.data.count(b"\n") * block.weight == pytest.approx(60_000, rel=0.02)
    assert newest.weight == 1.0


@pytest.mark.parametrize(("most", "seconds"), [(10_000, 60.0), (10, 60.0), (10_000, -1.0)])
def test_every_line_with_a_pattern(tmp_path: Path, most: int, seconds: float) -> None:
    begin = int(NOW) - 400_000
    line = b"%d %s" + b"x" * 20 + b"\n"
    data = b"".join(line % (at, b"bad" * (at % 997 == 0)) for at in range(begin, int(NOW)))
    (tmp_path / "a.log").write_bytes(data)
    with log_window.opened(tmp_path / "a.log", Window(begin, NOW), time_of) as log:
        deadline = time.monotonic() + seconds
        found = log_window.matching(log, 1000, re.compile(rb" bad"), most, deadline)
    if most < 100 or seconds < 0:
        assert found is None
        return
    end = len(data) - 1000
    before = data[: data.rfind(b"\n", 0, end)].split(b"\n")
    wanted = [line + b"\n" for line in before if b"bad" in line]
    assert found == wanted


def test_a_clock_that_jumped_ends_in_no_loop(tmp_path: Path) -> None:
    begin = int(NOW) - 3000

    def there(low: int, high: int) -> list[int]:
        return list(range(begin + low, begin + high))

    path = tmp_path / "a.log"
    lines = [*there(0, 1000), *there(90_000, 90_500), *there(1000, 3000)]
    path.write_bytes(b"".join(b"%d a line of some length, with words\n" % at for at in lines))
    found = times(path, begin + 2000, NOW)
    assert set(there(2000, 2990)) <= set(found)
