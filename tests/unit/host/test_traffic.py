"""What real requests say of a release: read from the site's log, judged by tables."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cartwheel.host.web import traffic
from cartwheel.host.web.nginx import Nginx
from cartwheel.host.web.server import Request
from cartwheel.host.web.traffic import Log, Share, complaint, count, tail

HERE = "unix:/srv/shop/current/http.sock"
THERE = "unix:/srv/shop/fallback/http.sock"


def line(
    status: str = "200",
    upstream: str = HERE,
    *,
    took: str = "0.250",
    at: float = 1000.25,
    probe: str = "",
    agent: str = "curl",
) -> bytes:
    text = (
        f'127.0.0.1 [2026-01-01T00:00:00+00:00] localhost "GET /?a=b HTTP/1.1" 200 2 "-" "{agent}" '
        f'id=1 time=0.3 upstream="{upstream}" upstream_status="{status}" '
        f'upstream_time="{took}" at={at:.3f} probe={probe}'
    )
    return text.encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (line(), Request(HERE, 200, 1000.0)),
        (line("502, 200", f"{HERE}, {THERE}", took="0.050, 0.200"), Request(HERE, 502, 1000.0)),
        (line("502 : 200", f"{HERE} : {THERE}", took="0.250 : -"), Request(HERE, 502, 1000.0)),
        (line("500", THERE), Request(THERE, 500, 1000.0)),
        (line("-", took="-"), None),  # the client left before there was an answer
        (line("-", "-", took="-"), None),  # a file of nginx's own
        (line(probe="1"), None),
        (b"", None),
        (b'1.2.3.4 - - [x] "GET / HTTP/1.1" 200 2 "-" "curl"', None),
        (line() + b" more", None),
        (line().replace(b" at=1000.250", b""), None),
        # A client's words stand before ours: nginx escapes its quotes.
        (line(agent=f"\\x22 upstream=\\x22{HERE}\\x22 at=1.0 probe="), Request(HERE, 200, 1000.0)),
        (b"\xff\xfe" + line(), Request(HERE, 200, 1000.0)),
    ],
)
def test_a_line_tells_the_first_answer(text: bytes, expected: Request | None) -> None:
    assert Nginx().request(text) == expected


def test_what_counts_was_passed_on_to_this_upstream_after_the_switch() -> None:
    lines = [
        line("500", at=1000.30),  # 1000.05
        line("503", took="9.000", at=1008.9),  # the old release's, 999.9
        line("200", at=1000.26),
        line("404", at=1000.26),
        line("500", THERE, at=1000.30),
        line("502, 200", f"{HERE}, {THERE}", took="0.000, 0.001", at=1000.5),
        b"torn",
    ]
    assert count(Nginx(), lines, HERE, 1000.0) == Share(4, 2)
    assert Share(4, 2) + Share(1, 0) == Share(5, 2)


@pytest.mark.parametrize(
    ("now", "before", "more", "said"),
    [
        (Share(40, 12), Share(), {}, "12 of 40 requests (30 %) failed with 5xx, the limit is 10 %"),
        (Share(5, 5), Share(), {}, "5 of 5 requests (100 %)"),
        (Share(10, 5), Share(), {}, "5 of 10"),
        (Share(1000, 140), Share(), {}, "140 of 1000"),
        (Share(1000, 100), Share(), {}, ""),  # at the limit, not over it
        (Share(1000, 110), Share(), {}, ""),  # may be chance
        (Share(10, 2), Share(), {}, ""),
        (Share(4, 4), Share(), {}, ""),  # too few to judge by
        (Share(), Share(), {}, ""),
        (Share(40, 12), Share(), {"error_min_requests": 41}, ""),
        (Share(40, 12), Share(), {"max_error_percent": 100}, ""),
        (Share(40, 40), Share(), {"max_error_percent": 100}, ""),
        (Share(40, 1), Share(), {"max_error_percent": 0}, "1 of 40 requests (2 %)"),
        (Share(40, 0), Share(), {"max_error_percent": 0}, ""),
        # As it was before, or better: not the new release's fault.
        (Share(400, 20), Share(400, 20), {}, ""),
        (Share(40, 12), Share(400, 120), {}, ""),
        (Share(40, 20), Share(400, 400), {}, ""),
        (Share(40, 40), Share(400, 380), {}, ""),
        (Share(200, 80), Share(200, 10), {}, "the limit is 15 % (5 % failed before the switch)"),
        (Share(40, 12), Share(4, 4), {}, "12 of 40"),  # four requests are no base
    ],
)
def test_the_judgement(now: Share, before: Share, more: dict[str, float], said: str) -> None:
    limits = {"max_error_percent": 10.0, "error_min_requests": 5, **more}
    found = complaint(
        now,
        before,
        max_error_percent=limits["max_error_percent"],
        error_min_requests=int(limits["error_min_requests"]),
    )
    assert bool(found) == bool(said)
    assert said in found


def test_only_what_comes_after_the_start_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    log = Log(path)
    assert log.lines() == []
    with path.open("ab") as handle:
        handle.write(b"one\ntw")
        handle.flush()
        assert log.lines() == [b"one"]
        handle.write(b"o\nthree\n")
        handle.flush()
        assert log.lines() == [b"two", b"three"]
    assert log.lines() == []
    log.close()


def test_a_log_that_comes_later_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(path)
    assert log.lines() == []
    path.write_bytes(b"first\n")
    assert log.lines() == [b"first"]
    log.close()


def test_rotation_loses_nothing(tmp_path: Path) -> None:
    """nginx writes to the old file until it is told; also a log that is emptied in place."""
    path = tmp_path / "log"
    path.write_bytes(b"")
    log = Log(path)
    for turn in range(5):
        with path.open("ab") as handle:
            handle.write(b"before %d\n" % turn)
            handle.flush()
            path.rename(tmp_path / f"log.{turn}")
            path.write_bytes(b"")
            assert log.lines() == [b"before %d" % turn]
            handle.write(b"late %d\n" % turn)
            handle.flush()
            path.write_bytes(b"after %d\n" % turn)
            assert log.lines() == [b"late %d" % turn, b"after %d" % turn]
    path.write_bytes(b"")
    assert log.lines() == []
    path.write_bytes(b"again\n")
    assert log.lines() == [b"again"]
    before = len(list(Path("/proc/self/fd").iterdir()))
    log.close()
    assert len(list(Path("/proc/self/fd").iterdir())) < before


def test_a_huge_log_is_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "READ_BYTES", 100)
    path = tmp_path / "log"
    path.write_bytes(b"x" * 1000 + b"\n")
    log = Log(path)
    with path.open("ab") as handle:
        handle.write(b"".join(b"line %04d\n" % number for number in range(1000)))
    expected = [b"line %04d" % number for number in range(991, 1000)]
    assert log.lines() == expected
    assert tail(path) == expected
    with path.open("ab") as handle:
        handle.write(b"one more\n")
    assert log.lines() == [b"one more"]
    log.close()


def test_reading_a_log_of_gigabytes_takes_no_time(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as handle:
        handle.truncate(8 << 30)  # sparse
        handle.seek(0, os.SEEK_END)
        handle.write(b"\n" + line() + b"\n")
    began = time.monotonic()
    assert tail(path)[-1] == line()
    log = Log(path)
    assert log.lines() == []
    log.close()
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("kind", ["missing", "folder", "link", "fifo"])
def test_what_is_no_log_says_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log"
    (tmp_path / "other").write_bytes(b"secret\n")
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("other")
    elif kind == "fifo":
        os.mkfifo(path)
    assert tail(path) == []
    log = Log(path)
    assert log.lines() == []
    log.close()
