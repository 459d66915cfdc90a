"""Which exceptions are a cause: those that fail a job, or that visitors notice."""

from __future__ import annotations

from typing import Any

import pytest

from cartwheel.diagnosis import exceptions
from cartwheel.host.wire.diagnosis import Minute, Sign, Url, Visits
from tests.unit.answers import status
from tests.unit.diagnosis.cases import NOW, case

HOUR = 3600.0
ILL = status(serving={"problem": "/ answers 500", "healthy": False})


def _visits(a_minute: int, failed: int = 0, url: Url | None = None) -> Visits:
    """Two hours of visitors; the failed requests are in the last minute."""
    times = [NOW - 2 * HOUR + 60.0 * number for number in range(120)]
    minutes = [Minute(at, a_minute, 0, 0.1) for at in times[:-1]]
    minutes.append(Minute(times[-1], max(a_minute, failed), failed, 0.1))
    count = sum(one.count for one in minutes)
    return Visits(1.0, count, failed, 0.01, 0.1, {}, (url,) if url else (), (), (*minutes,))


def _page(count: int, failed: int) -> Url:
    """A page that is asked for seldom."""
    spans = tuple(
        Minute(NOW - 2 * HOUR + 600.0 * number, count // 12, failed // 12, 0.1, seconds=600.0)
        for number in range(12)
    )
    return Url("/page", count, failed, 0.1, 0.1, spans=spans)


def _raised(count: int, first: float, last: float, *processes: str) -> Sign:
    lines = ("ValueError: an order without a customer", "at app.py:131 in sometimes")
    about = "ValueError at app.py:131 in sometimes"
    return Sign("exception", about, count, NOW - first, NOW - last, lines, processes or ("web",))


@pytest.mark.parametrize(
    ("sign", "visits", "differs", "counts"),
    [
        # What every busy site has: an odd request, seldom.
        (_raised(1, 9, 9), _visits(50, 1), {}, False),
        (_raised(2, 3000, 9), _visits(50, 2), {}, False),
        (_raised(12, 7000, 9), _visits(50, 1), {}, False),
        (_raised(12, 7000, 9), _visits(50, 1, _page(120, 12)), {}, False),
        # Many at once, many for so few visitors, or all of one page.
        (_raised(12, 50, 9), _visits(50), {}, True),
        (_raised(60, 7000, 9), _visits(10), {}, True),
        (_raised(12, 7000, 9), _visits(50, 1, _page(12, 12)), {}, True),
        (_raised(12, 7000, 9), _visits(50, 12), {}, True),
        # Somebody tries a host that has no visitors yet.
        (_raised(1, 9, 9), _visits(0, 2), {}, True),
        # The app gives no good answer now: this may be why.
        (_raised(1, 9, 9), _visits(50, 1), {"status": ILL}, True),
        # Jobs have no visitors.
        (_raised(1, 9, 9, "worker"), _visits(50), {}, True),
        (_raised(1, 9, 9, "timer tidy"), _visits(50), {}, True),
        (_raised(4, 7000, 9, "web", "worker"), _visits(50), {}, True),
        (_raised(1, 5000, 5000, "worker"), _visits(50), {}, False),
        # Nobody knows how many visitors there are.
        (_raised(1, 9, 9), None, {}, True),
    ],
)
def test_an_exception(
    sign: Sign, visits: Visits | None, differs: dict[str, Any], counts: bool
) -> None:
    found = list(exceptions.causes(case(signs=(sign,), visits=visits, **differs)))
    assert [one.slug for one in found] == (["exceptions"] if counts else [])
