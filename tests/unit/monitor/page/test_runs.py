"""What was done to an app: entries of many hosts as runs, and one that goes on."""

from __future__ import annotations

import re
import time

from flask.testing import FlaskClient

from cartwheel.host.wire.journal import Entry
from cartwheel_monitor.page.reading import projects, runs
from cartwheel_monitor.page.reading.runs import Run, together
from cartwheel_monitor.remembered import Happened
from tests.kit.monitored import Filled
from tests.unit.monitor.page.kit import enter, filled, look_again, page, text_of

__all__ = ["filled", "page"]
LOST = "the connection to the operator was lost before the confirmation"


def entry(kind: str, result: str | None = None, release: str = "1.0", **more: str) -> Entry:
    return Entry(1, None, kind, release, result=result, who=more.pop("who", "ann"), **more)  # type: ignore[arg-type]  # all texts


def happened(*every: tuple[float, str, Entry]) -> list[Happened]:
    return [Happened("shop", host, at, one) for at, host, one in every]


def ends(run: Run) -> dict[str, str]:
    return {one.host: one.how for one in run.outcomes}


class TestTogether:
    def test_a_deploy_to_two_hosts_with_a_migration_is_one_run(self) -> None:
        (run,) = together(happened(
            (100, "web1", entry("migrate", "done")),
            (120, "web1", entry("deploy", "confirmed", message="new prices", from_="0.9")),
            (121, "web1", entry("drain", "done", "0.9")),
            (150, "web2", entry("deploy", "confirmed", message="new prices", from_="0.9")),
        ), {})  # fmt: skip
        assert (run.kind, run.began, run.lasted, len(run.entries)) == ("deploy", 100, 50, 4)
        assert (run.said("release"), run.said("message"), run.said("from_")) == (
            "1.0",
            "new prices",
            "0.9",
        )
        assert run.ends == [("confirmed", ["web1", "web2"])]

    def test_how_long_it_took_is_not_guessed_from_its_ends(self) -> None:
        """Hosts note no begin of a deploy: from its first end to its last is not how long."""
        (run,) = together(happened(
            (100, "web1", entry("deploy", "confirmed")),
            (100.1, "web2", entry("deploy", "confirmed")),
        ), {})  # fmt: skip
        assert run.lasted is None

    def test_how_it_ended_on_each_host(self) -> None:
        (run,) = together(happened(
            (1, "web1", entry("deploy", "confirmed")),
            (2, "web2", entry("deploy", "reverted", reason="not healthy")),
            (3, "web3", entry("deploy", "failed", reason="no such package")),
            (4, "web4", entry("deploy", "reverted", reason=LOST)),
            (5, "web5", entry("deploy")),
            (6, "web6", entry("migrate", "failed", reason="ended with 1")),
            (7, "web7", entry("migrate", "done")),
        ), {})  # fmt: skip
        assert ends(run) == {
            "web1": "confirmed", "web2": "reverted", "web3": "failed", "web4": "killed",
            "web5": "begun", "web6": "failed", "web7": "begun",
        }  # fmt: skip
        assert [how for how, _hosts in run.ends] == [
            "failed", "reverted", "killed", "begun", "confirmed",
        ]  # fmt: skip

    def test_what_belongs_to_another_run(self) -> None:
        for other in (
            (60, "web2", entry("deploy", "confirmed", "1.1")),
            (60, "web2", entry("deploy", "confirmed", who="bob")),
            (60, "web2", entry("deploy", "confirmed", message="another")),
            (60, "web2", entry("rollback", "confirmed")),
            (60, "web1", entry("deploy", "unchanged")),
            (60, "web1", entry("deploy")),
            (50 + runs.APART_SECONDS + 1, "web2", entry("deploy", "confirmed")),
        ):
            first = (50, "web1", entry("deploy", "confirmed", message="one"))
            found = together(happened(first, other), {})
            assert [len(one.entries) for one in found] == [1, 1], other

    def test_a_host_that_recovers_ends_the_run_of_somebody(self) -> None:
        (run,) = together(happened(
            (1, "web1", entry("deploy", "confirmed")),
            (2, "web2", entry("deploy", "confirmed", who="cartwheel recover")),
        ), {})  # fmt: skip
        assert run.said("who") == "ann"

    def test_a_second_try_after_a_kill_is_another_run(self) -> None:
        found = together(happened(
            (1, "web1", entry("migrate", "done")),
            (9, "web1", entry("migrate", "done")),
            (12, "web1", entry("deploy", "confirmed")),
        ), {})  # fmt: skip
        assert [ends(one) for one in found] == [{"web1": "confirmed"}, {"web1": "begun"}]

    def test_a_run_that_goes_on_has_the_entries_since_it_took_its_locks(self) -> None:
        every = happened(
            (100, "web1", entry("deploy", "confirmed", "0.9")),
            (500, "web1", entry("deploy", "confirmed")),
        )
        now, before = together(every, {"web1": 490.0, "web2": 490.5})
        assert ends(now) == {"web1": "confirmed", "web2": "running"}
        assert now.locked == ("web1", "web2") and before.locked == ()
        assert (now.began, before.began) == (490.0, 100)

    def test_a_run_without_an_entry_yet_is_not_taken_for_the_last_one(self) -> None:
        every = happened((100, "web1", entry("deploy", "confirmed")))
        now, before = together(every, {"web1": 490.0})
        assert (now.id, now.began, ends(now), before.locked) == ("", 490.0, {"web1": "running"}, ())
        now, _before = together(every, {"web1": None})
        assert ends(now) == {"web1": "running"}, "a host of an earlier version"


def test_the_runs_of_an_app(page: FlaskClient, filled: Filled) -> None:
    answer = page.get("/apps/shop/runs")
    assert "Refresh" not in answer.headers and 'data-refresh="20"' in answer.get_data(as_text=True)
    text = text_of(page, "/apps/shop/runs")
    assert text.count("deploy 1.") == 3
    assert f"deploy {filled.releases[-1]} ann: new prices confirmed web1, web2 9.0 s" in text


def test_one_run_by_any_of_its_entries(page: FlaskClient, filled: Filled) -> None:
    href = re.findall(r'href="(/apps/shop/runs/\d+-\d+)"', page.get("/apps/shop/runs").text)
    assert len(href) == 3
    text = text_of(page, href[0])
    assert text.count(filled.releases[-1]) == 5, "of the run and of four entries"
    assert text_of(page, href[0]).split("What the hosts noted")[1].count("web1") == 2
    (run,) = (one for one in runs_of(filled).runs if href[0].endswith(one.id))
    last = run.entries[-1]
    same = page.get(f"/apps/shop/runs/{int(last.at * 1000)}-{last.entry.seq}")
    assert same.status_code == 200 and filled.releases[-1] in same.text
    for other in ("1-1", "x", "-", "9" * 400 + "-1", "\u0661-1", "1-1-1"):
        assert page.get(f"/apps/shop/runs/{other}").status_code == 404, other


def runs_of(filled: Filled, before: float | None = None) -> runs.Runs:
    return runs.read(projects.named(filled.places, "shop"), before)


def test_runs_are_paged(filled: Filled) -> None:
    for number in range(runs.PAGE + 5):
        at = 1e9 + number * 3 * runs.APART_SECONDS
        for host in filled.hosts:
            enter(filled, host, at, Entry(number + 100, at, "restart", "0.1", result="confirmed"))
    first = runs_of(filled)
    second = runs_of(filled, first.older)
    assert first.older is not None and second.older is None
    every = [one.began for one in (*first.runs, *second.runs)]
    assert len(every) == runs.PAGE + 8 and every == sorted(set(every), reverse=True)
    assert all(len(one.entries) == 2 for one in second.runs)


def test_no_run_is_shown_without_its_beginning(filled: Filled, page: FlaskClient) -> None:
    for number in range(1500):
        at = 1e9 + number * 60
        for host in filled.hosts:
            enter(
                filled,
                host,
                at,
                Entry(number + 100, at, "restart", f"0.{number // 5}", result="confirmed"),
            )
    seen, older = set(), None
    for _page in range(100):
        found = runs_of(filled, older)
        assert all(len(one.entries) == 2 for one in found.runs if one.kind == "restart")
        seen |= {one.id for one in found.runs}
        older = found.older
        if older is None:
            break
    assert len(seen) == 1503


def test_a_run_that_goes_on_stands_on_top(page: FlaskClient, filled: Filled) -> None:
    now = time.time()
    for host in filled.hosts:
        look_again(filled, host, locked=True, locked_since=now - 30)
    answer = page.get("/apps/shop/runs")
    assert answer.headers["Refresh"] == "5" and 'data-refresh="2"' in answer.text
    text = text_of(page, "/apps/shop/runs")
    assert "No host has noted anything of it yet" in text and "Locked web1, web2" in text
    entered = Entry(900, now - 5, "deploy", "9.0", result="confirmed", who="bob", message="<b>")
    enter(filled, "web1", now - 5, entered)
    text = text_of(page, "/apps/shop/runs").split("deploy 1.")[0]
    assert "still running web2 confirmed web1" in text and "By bob Message &lt;b&gt;" in text
    (run,) = runs_of(filled).now
    assert page.get(f"/apps/shop/runs/{run.id}").headers["Refresh"] == "5"
    page.set_cookie("script", "1")
    assert "Refresh" not in page.get("/apps/shop/runs").headers, "the page's script does it"
    for host in filled.hosts:
        look_again(filled, host, problem="no answer", locked=True, locked_since=now - 30)
    assert runs_of(filled).now == (), "nobody knows whether they are locked"


def test_the_store_of_an_earlier_version(page: FlaskClient, filled: Filled) -> None:
    from tests.unit.monitor.page.kit import store

    store(filled).execute("DROP TABLE entries")
    store(filled).execute("DROP TABLE releases")
    for view in ("runs", "runs/1-1", "releases", "releases/compare?from=a&to=b", "processes"):
        assert "cannot be read: no such table" in text_of(page, f"/apps/shop/{view}"), view
