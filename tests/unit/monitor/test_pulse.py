"""One bad look is repeated before it counts."""

from __future__ import annotations

import pytest

from cartwheel_monitor import quiet
from cartwheel_monitor.pulse import Pulse, after, next_look
from cartwheel_monitor.quiet import Circumstances, Silence
from cartwheel_monitor.subjects import KINDS, Kind, Subject, Verdict

SITE = Subject("site", "shop", "")


def looks(kind: str, *problems: str | None) -> list[str]:
    """The changes that these looks make, one every 20 s."""
    pulse = Pulse()
    changes: list[str] = []
    for number, problem in enumerate(problems):
        look = Verdict(Subject(kind, "shop", "web1"), number * 20.0, problem)
        pulse, change = after(pulse, look)
        changes.append(change)
    return changes


@pytest.mark.parametrize(
    ("problems", "changes"),
    [
        (("x", ""), ["", ""]),
        (("x", "x"), ["", "down"]),
        (("x", None, "x"), ["", "", "down"]),
        (("x", "", "x", ""), ["", "", "", ""]),
        (("x", "x", "x", "", ""), ["", "down", "", "well", ""]),
        (("x", "x", None, ""), ["", "down", "", "well"]),
    ],
)
def test_a_site(problems: tuple[str | None, ...], changes: list[str]) -> None:
    assert looks("site", *problems) == changes


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_kind_goes_down_and_comes_back(kind: Kind) -> None:
    name, bad, good = kind.name, kind.bad_looks, kind.good_looks
    found = looks(name, *["x"] * bad, *[""] * good)
    assert found == [*[""] * (bad - 1), "down", *[""] * (good - 1), "well"]


def test_a_trouble_began_with_its_first_bad_look() -> None:
    pulse = Pulse()
    for at, problem in ((0.0, ""), (20.0, "x"), (25.0, "y")):
        pulse, _ = after(pulse, Verdict(SITE, at, problem))
    assert (pulse.state, pulse.began, pulse.problem) == ("down", 20.0, "y")


@pytest.mark.parametrize(
    ("problems", "every", "due"),
    [(("",), 20.0, 20.0), (("x",), 20.0, 5.0), (("x", "x"), 20.0, 10.0), (("x",), 2.0, 2.0)],
)
def test_when_to_look_again(problems: tuple[str, ...], every: float, due: float) -> None:
    pulse = Pulse()
    for problem in problems:
        pulse, _ = after(pulse, Verdict(SITE, 0.0, problem))
    assert next_look(pulse, 100.0, every) == 100.0 + due


def test_a_site_is_told_within_45_seconds_and_back_within_30() -> None:
    """In the worst case: it goes down just after a good look, and looks take their 5 seconds."""
    pulse, at, timeout = Pulse(), 0.0, 5.0
    due = next_look(after(pulse, Verdict(SITE, at, ""))[0], at, 20.0)
    change = ""
    while change != "down":
        at = due + timeout
        pulse, change = after(pulse, Verdict(SITE, at, "x"))
        due = next_look(pulse, at, 20.0)
    assert at <= 45.0 - 5.0
    well = at
    due = next_look(pulse, at, 20.0)
    pulse, change = after(pulse, Verdict(SITE, due + timeout, ""))
    assert (change, due + timeout - well <= 30.0) == ("well", True)


def quieted(kind: str, now: Circumstances, *, app: str = "shop", at: float = 100.0) -> bool:
    look = Verdict(Subject(kind, app, "web1"), at, "bad")
    return quiet.heard(look, now).problem is None


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_a_deploy_does_itself_is_no_news(kind: str) -> None:
    now = Circumstances(locked={("shop", "web1"): 90.0})
    own = {"process", "restarts", "behind", "timer", "unfinished"}
    assert quieted(kind, now) == (kind in own)
    assert not quieted(kind, now, app="blog")
    assert not quieted(kind, now, at=90.0 + quiet.SETTLING_SECONDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_closed_site(kind: str) -> None:
    now = Circumstances(closed=frozenset({"shop"}))
    assert quieted(kind, now) == (kind in {"site", "errors", "slow"})


@pytest.mark.parametrize(
    ("silence", "silent"),
    [
        (Silence(200.0, "", ""), True),
        (Silence(200.0, "", "", app="shop"), True),
        (Silence(200.0, "", "", app="blog"), False),
        (Silence(200.0, "", "", host="web1"), True),
        (Silence(200.0, "", "", host="web2"), False),
        (Silence(100.0, "", ""), False),
    ],
)
def test_a_silence(silence: Silence, silent: bool) -> None:
    assert quieted("site", Circumstances(silences=(silence,))) == silent


def test_a_good_look_counts_always() -> None:
    look = Verdict(SITE, 100.0, "")
    now = Circumstances(closed=frozenset({"shop"}), silences=(Silence(200.0, "", ""),))
    assert quiet.heard(look, now) == look
