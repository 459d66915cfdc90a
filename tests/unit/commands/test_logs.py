"""The options of `fab logs`, and the order of several hosts' lines."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cartwheel.commands.logs import Line, _Merged, ago, checked_pattern, checked_sources
from cartwheel.errors import UsageError
from cartwheel.host.wire.messages import Told
from cartwheel.settings.toml_tables import Settings

SETTINGS = Settings.model_validate({"app": {"name": "shop", "source": "."}})
NOW = datetime(2026, 11, 29, 14, 30).timestamp()
HOUR = 3600.0
MIDNIGHT_UTC = datetime(2026, 11, 29, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("15m", 900.0),
        ("15 min ago", 900.0),
        ("2h", 2 * HOUR),
        ("1h30m", 1.5 * HOUR),
        ("1 hour", HOUR),
        ("2 hours ago", 2 * HOUR),
        ("1d", 24 * HOUR),
        ("1 week", 168 * HOUR),
        ("today", 14.5 * HOUR),
        ("yesterday", 38.5 * HOUR),
        ("14:00", 0.5 * HOUR),
        ("9:30", 5 * HOUR),
        ("15:30", 23 * HOUR),  # yesterday's
        ("2026-11-29", 14.5 * HOUR),
        ("2026-11-29 13:30", HOUR),
        ("2026-11-29T13:30:00", HOUR),
        ("2026-11-29T00:00:00Z", NOW - MIDNIGHT_UTC),
        ("9999999999999w", NOW),  # all
    ],
)
def test_since(text: str, seconds: float) -> None:
    assert ago(text, NOW) == seconds


@pytest.mark.parametrize(
    "text",
    ["90", "soon", "25:00", "2026-13-01", "2026-12-01", "5 m x", "1h1", "-1h", "1e9w", "5ms"],
)
def test_since_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="--since") as caught:
        ago(text, NOW)
    assert "14:30" in caught.value.hint


def test_sources() -> None:
    assert checked_sources(SETTINGS, ("nginx", "app")) == ("nginx-access", "nginx-error", "app")
    assert checked_sources(SETTINGS, ()) == ()
    with pytest.raises(UsageError, match="no such source") as caught:
        checked_sources(SETTINGS, ("log",))
    assert "gunicorn" in caught.value.hint


def test_a_pattern_that_is_none() -> None:
    assert checked_pattern("a.*b") == "a.*b"
    for wrong in ("a(", "a{99999999999}"):
        with pytest.raises(UsageError, match="--grep"):
            checked_pattern(wrong)


def event(at: float) -> Told:
    return {"step": "log", "state": "note", "detail": f"at {at}", "source": "app", "at": at}


END: Told = {"step": "log", "state": "done", "detail": ""}


def test_the_lines_of_several_hosts_in_order_of_time() -> None:
    found: list[Line] = []
    merged = _Merged(("a", "b", "c"), found.append)
    merged.take("a", event(1))
    merged.take("a", event(4))
    merged.take("a", END)
    merged.take("b", event(2))
    assert found == []
    merged.take("a", event(9))  # it is followed already
    merged.take("b", END)
    merged.has_all("c")  # it failed
    assert [(line.host, line.at) for line in found] == [("a", 1), ("b", 2), ("a", 4), ("a", 9)]
    merged.take("a", event(3))
    assert found[-1].at == 3
    merged.has_all("a")
    assert len(found) == 5
    assert merged.notes == {"c": "no such lines"}


def test_one_host_is_not_waited_for() -> None:
    found: list[Line] = []
    merged = _Merged(("a",), found.append)
    merged.take("a", event(1))
    assert [line.at for line in found] == [1]
