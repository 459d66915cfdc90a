"""The faults of `bench/diagnose`: enough of them, and judged by what a finding says."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from bench.diagnosed.faults import FAULTS, Fault
from bench.diagnosed.healthy import HEALTHY


def test_the_bars_are_about_enough() -> None:
    names = Counter([one.name for one in FAULTS] + [one.name for one in HEALTHY])
    assert names.most_common(1)[0][1] == 1
    assert len([one for one in FAULTS if not one.recorded]) >= 40
    assert len([one for one in FAULTS if one.recorded]) <= 6
    assert len(HEALTHY) >= 10


def cause(what: str, title: str = "", evidence: str = "", change: str = "") -> dict[str, Any]:
    changes = [{"kind": "deploy", "detail": change}] if change else []
    return {"what": what, "title": title, "evidence": [evidence], "changes": changes}


@pytest.mark.parametrize(
    ("says", "causes", "place"),
    [
        ("", [], 0),
        ("", [cause("slow"), cause("exceptions")], 2),
        ("total_of", [cause("exceptions", "KeyError in app.py"), cause("slow")], 0),
        ("total_of", [cause("exceptions", evidence="in TOTAL_OF")], 1),
        ("one.two", [cause("exceptions", "one", change="two")], 0),
        (r"one[\s\S]*deploy.*two", [cause("exceptions", "one", change="two")], 1),
    ],
)
def test_a_place(says: str, causes: list[dict[str, Any]], place: int) -> None:
    assert Fault("a fault", "a kind", ":", ("exceptions",), says).place_in(causes) == place
