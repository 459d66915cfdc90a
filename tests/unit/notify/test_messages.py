"""What is told: who, what, why, and how it ended."""

from __future__ import annotations

import pytest

from cartwheel.errors import HostError, UsageError
from cartwheel.fleet.report import HostReport, Outcome, Report
from cartwheel.notify import messages
from cartwheel.notify.by_apprise import without_address
from cartwheel.notify.messages import Run

RUN = Run("shop.live", "deploy", ("web1", "web2"), "ann@desk", "fix the cart")
LINE = "deploy on web1, web2 by ann@desk: fix the cart"


def report(*hosts: HostReport) -> Report:
    return Report("1.1.bb", "1.1", hosts, seconds=12.4)


def host(name: str, outcome: Outcome, error: HostError | None = None) -> HostReport:
    serves = "1.1.bb" if outcome == "deployed" else "1.0.aa"
    return HostReport(name, outcome, serves, "1.0.aa", error)


def test_the_begin() -> None:
    told = messages.begun(RUN)
    assert (told.title, told.body) == ("shop.live: deploy has begun", LINE)


def test_without_a_reason() -> None:
    run = Run("shop", "rollback", ("web1",), "ann@desk", "")
    assert messages.begun(run).body == "rollback on web1 by ann@desk"


def test_success() -> None:
    told = messages.ended(RUN, report(host("web1", "deployed"), host("web2", "deployed")))
    assert told is not None
    assert (told.moment, told.mood) == ("done", "success")
    assert told.title == "shop.live: 1.1 is live"
    assert told.body.splitlines() == [LINE, "1.1.bb, in 12 s", "before: 1.0.aa"]


def test_what_changed_nothing_is_not_told() -> None:
    assert messages.ended(RUN, report(host("web1", "unchanged"))) is None


@pytest.mark.parametrize(
    ("outcomes", "title", "mood", "live"),
    [
        (("reverted", "reverted"), "shop.live: deploy went back", "warning", "1.0.aa"),
        (("failed", "failed"), "shop.live: deploy failed", "failure", "1.0.aa"),
        (
            ("deployed", "reverted"),
            "shop.live: deploy needs attention",
            "failure",
            "1.1.bb on web1, 1.0.aa on web2",
        ),
    ],
)
def test_failure(outcomes: tuple[Outcome, Outcome], title: str, mood: str, live: str) -> None:
    error = HostError("unhealthy", "not healthy after 30 s", host="web2")
    one, other = outcomes
    told = messages.ended(RUN, report(host("web1", one), host("web2", other, error)))
    assert told is not None
    assert (told.moment, told.title, told.mood) == ("failed", title, mood)
    assert told.body.splitlines() == [LINE, "[web2] not healthy after 30 s", f"live: {live}"]


def test_a_run_that_was_refused_or_stopped() -> None:
    refused = messages.stopped(RUN, UsageError("usage", "no such thing"))
    assert refused.title == "shop.live: deploy failed"
    assert refused.body.splitlines() == [LINE, "no such thing"]
    several = ExceptionGroup(
        "hosts", [HostError("held", "locked by bob", host="web1"), ValueError("a secret")]
    )
    assert messages.stopped(RUN, several).body.splitlines()[1:] == [
        "[web1] locked by bob",
        "unexpected ValueError",
    ]
    assert messages.stopped(RUN, KeyboardInterrupt()).title == "shop.live: deploy was interrupted"


def test_a_reason_without_the_address() -> None:
    address = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general"
    text = "Failed to post to https://hooks.slack.com/T1JJ3T3L2/A1BRTD4JD: error=404"
    assert without_address(text, address) == (
        "Failed to post to https://hooks.***.com/***/***: error=404"
    )


def test_a_reason_without_what_the_address_has_encoded() -> None:
    address = "mailto://ann:corre%63thorse%2Fbattery@example.org"
    assert without_address("refused: correcthorse/battery", address) == "refused: ***/***"
