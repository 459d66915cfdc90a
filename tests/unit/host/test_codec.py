"""Records from JSON: messages strictly, what lies on a disk with defaults."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Literal, Optional, Tuple

import pytest

from cartwheel.hidden import MASK, Hidden
from cartwheel.host.wire.codec import WireError, from_disk, from_message, to_json
from cartwheel.host.wire.facts import Facts


@dataclass(frozen=True)
class Inner:
    name: str
    size: float = 1.0


@dataclass(frozen=True)
class Outer:
    count: int
    kind: Literal["a", "b"]
    inner: Inner
    maybe: Optional[Inner] = None
    many: Tuple[Inner, ...] = ()
    pair: Tuple[str, int] = ("x", 1)
    names: Tuple[str, ...] = ()
    secrets: Dict[str, Hidden] = field(default_factory=dict)
    is_on: bool = False


GOOD: dict[str, Any] = {"count": 1, "kind": "a", "inner": {"name": "n"}}
FULL = Outer(
    count=2,
    kind="b",
    inner=Inner("n", 2.5),
    maybe=Inner("m"),
    many=(Inner("o"), Inner("p")),
    pair=("y", 2),
    names=("q",),
    secrets={"KEY": Hidden("s3cret")},
    is_on=True,
)


def test_a_record_comes_back_as_it_was() -> None:
    assert from_message(Outer, to_json(FULL)) == FULL
    assert from_message(Outer, GOOD) == Outer(1, "a", Inner("n"))


def test_a_secret_travels_and_is_never_shown() -> None:
    assert to_json(FULL)["secrets"] == {"KEY": "s3cret"}
    assert repr(from_message(Outer, to_json(FULL)).secrets) == f"{{'KEY': {MASK}}}"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no table": ({"inner": []}, "inner is not of type Inner"),
    "a field too many": ({"more": 1}, "Outer has no field more"),
    "a field too many within": ({"inner": {"name": "n", "x": 1}}, "inner Inner has no field x"),
    "a missing one": ({"inner": {}}, "inner.name is missing in Inner"),
    "a text for a number": ({"count": "1"}, "count is not of type int"),
    "a truth for a number": ({"count": True}, "count is not of type int"),
    "a number for a truth": ({"is_on": 1}, "is_on is not of type bool"),
    "a broken number": ({"count": 1.5}, "count is not of type int"),
    "a text for a size": ({"inner": {"name": "n", "size": "1"}}, "inner.size is not a number"),
    "null": ({"inner": None}, "inner is not of type Inner"),
    "no choice": ({"kind": "c"}, "kind is not one of a, b"),
    "a list within": ({"many": [{"name": "n"}, {}]}, r"many\[1\].name is missing in Inner"),
    "a pair of three": ({"pair": ["x", 1, 2]}, "pair does not have 2 values"),
    "a text for a list": ({"names": "x"}, "names is not a list"),
    "a list for a table": ({"secrets": []}, "secrets is not an object"),
    "a number for a secret": ({"secrets": {"KEY": 1}}, "secrets.KEY is not of type str"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_message_that_does_not_fit_is_one_clear_error(name: str) -> None:
    changes, says = BAD[name]
    with pytest.raises(WireError, match=f"^{says}$"):
        from_message(Outer, {**GOOD, **changes})


def test_what_lies_on_a_disk_may_be_of_another_version() -> None:
    assert from_disk(Outer, {**GOOD, "later": 1, "inner": {"name": "n", "x": 1}}).count == 1
    with pytest.raises(WireError, match="count is missing"):
        from_disk(Outer, {"kind": "a", "inner": {"name": "n"}})
    with pytest.raises(WireError, match="count is not of type int"):
        from_disk(Outer, {**GOOD, "count": "1"})
    with pytest.raises(WireError, match="is not of type Outer"):
        from_disk(Outer, [])


@dataclass(frozen=True)
class Line:
    sparse = True
    number: int
    from_: Optional[str] = None
    more: Tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("line", "written"),
    [
        (Line(1), {"number": 1}),
        (Line(1, "a", ("b",)), {"number": 1, "from": "a", "more": ["b"]}),
    ],
)
def test_a_sparse_record_says_what_differs_and_a_keyword_is_a_name_too(
    line: Line, written: dict[str, Any]
) -> None:
    assert to_json(line) == written
    assert from_message(Line, written) == line


def test_the_answer_of_the_crowds_hosts_is_todays() -> None:
    """tests/ssh/test_crowd.py gives it to many hosts."""
    said = json.loads((Path(__file__).parents[2] / "ssh/facts.json").read_text())
    assert from_message(Facts, said).app.serving
