"""Timers on a real host, through deploys, the way back and a power cut.

One of them runs each minute all the while; at the end each minute has one run.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import await_sessions, current, releases
from tests.kit.project import SHOP, Project, new_project
from tests.kit.waiting import until

pytestmark = pytest.mark.timeout(300)

SETTINGS = (
    SHOP
    + """
[timers.minute]
command = "python -m work quick"
schedule = "* * * * *"
[timers.job]
command = "python -m work quick"
schedule = "0 3 1 1 *"
zone = "Europe/Berlin"
[timers.fails]
command = "python -m work $HOW"
schedule = "@yearly"
env = { HOW = "fails" }
[timers.long]
command = "python -m work long"
schedule = "@yearly"
[timers.slow]
command = "python -m work long"
schedule = "@yearly"
timeout_seconds = 1
"""
)
# `long` ends once there is a file `go`.
WORK = """
import os, sys, time
print(sys.argv[1], "in", os.environ["CARTWHEEL_RELEASE"], flush=True)
while sys.argv[1] == "long" and not os.path.exists("go"):
    time.sleep(0.1)
print("\\N{SNOWMAN} done")
sys.exit(3 if sys.argv[1] == "fails" else 0)
"""
UNIT = "cartwheel-shop_timer.{}.{}"


@pytest.fixture(scope="module")
def served(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.settings(SETTINGS)
    project.write("app/work.py", WORK)
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    return project


@pytest.fixture
def project(served: Project, module_host: LabHost) -> Iterator[Project]:
    """Another text to deploy each time."""
    served.app(f"text {time.monotonic_ns()}")
    served.settings(SETTINGS)
    yield served
    await_sessions(module_host)


def runs(host: LabHost, name: str) -> list[dict[str, Any]]:
    """What the host keeps of them, oldest first."""
    found = host.sh(f"cat /srv/shop/timers/{name}/[0-9]*.json 2>/dev/null | tr -d '\\n' || true")
    parts = found.replace("}{", "}\n{").splitlines()
    return sorted(map(json.loads, parts), key=lambda run: int(run["number"]))


def last(host: LabHost, name: str = "job") -> dict[str, Any]:
    return runs(host, name)[-1]


def let_it_be_due(host: LabHost, name: str = "job") -> None:
    """All times that have passed count; then systemd's timer would start this."""
    host.sh(
        f"for one in /srv/shop/timers/{name}/since.*; do echo '{{\"since\": 1.0}}' >$one; done;"
        f" systemctl start {UNIT.format(name, 'service')}"
    )


def run(project: Project, host: LabHost, name: str, *words: str, code: int = 0) -> str:
    return project.fab("timer.run", "-H", host.name, "--name", name, *words, code=code).text


def test_a_run_its_output_and_its_end(project: Project, module_host: LabHost) -> None:
    """Also where journald keeps nothing."""
    host = module_host
    listed = project.fab("timer.list", "-H", host.name).text
    assert "job     0 3 1 1 * Europe/Berlin" in listed
    assert "-01-01 0" in listed
    host.sh(
        "mkdir -p /etc/systemd/journald.conf.d"
        " && printf '[Journal]\\nStorage=none\\n' >/etc/systemd/journald.conf.d/none.conf"
        " && systemctl restart systemd-journald"
    )
    said = run(project, host, "job", "--follow")
    assert f"quick in {current(host, 'shop')}\n\N{SNOWMAN} done\n" in said
    assert "run 1 done" in said
    shown = project.fab("ps", "-H", host.name).text
    assert re.search(r"job +0 3 1 1 \* Europe/Berlin .* 1 .* done, asked for by", shown), shown
    assert "web@" in shown
    host.sh("rm /etc/systemd/journald.conf.d/none.conf; systemctl restart systemd-journald")
    assert "\N{SNOWMAN} done" in project.fab("logs", "-H", host.name, "--timer", "job").text
    kept = host.sh("stat -c '%a %U:%G' /var/log/cartwheel/shop/timers/job/1.log").strip()
    assert kept == "640 root:adm"
    assert (last(host)["result"], last(host)["due"]) == ("done", None)


def test_a_time_that_is_due_is_run_for_once(project: Project, module_host: LabHost) -> None:
    let_it_be_due(module_host)
    due = datetime(datetime.now(UTC).year, 1, 1, 3, tzinfo=ZoneInfo("Europe/Berlin"))
    run = last(module_host)
    assert (run["due"], run["result"]) == (due.timestamp(), "done")
    count = len(runs(module_host, "job"))
    let_it_be_due(module_host)
    assert len(runs(module_host, "job")) == count, "that time has had its run"


def test_a_job_that_fails_or_takes_too_long(project: Project, module_host: LabHost) -> None:
    host = module_host
    assert "failed: exit status 3" in run(project, host, "fails", "--follow", code=1)
    said = run(project, host, "slow", "--follow", code=1)
    assert "timeout: it took longer than timeout_seconds" in said
    assert f"long in {current(host, 'shop')}\n" in said
    assert host.sh("systemctl list-units --failed --no-legend --plain").strip() == ""


def test_a_job_ends_in_the_release_in_which_it_began(
    project: Project, module_host: LabHost
) -> None:
    """And a deploy without another schedule leaves the timers' units alone."""
    host, old = module_host, current(module_host, "shop")
    units = f"stat -c '%i %Y' /etc/systemd/system/{UNIT.format('*', '*')}"
    before = host.sh(units)
    assert "has begun" in run(project, host, "long")
    project.fab("deploy", "-H", host.name)
    assert current(host, "shop") != old
    assert host.sh(units) == before
    said = run(project, host, "long", code=1)
    assert "the job of the timer long is under way [CW613]" in said
    assert old in releases(host, "shop")
    host.sh("touch /srv/shop/shared/go")
    said = project.fab("logs", "-H", host.name, "--timer", "long", "--follow").text
    assert f"long in {old}\n\N{SNOWMAN} done" in said
    assert (last(host, "long")["result"], last(host, "long")["release"]) == ("done", old)
    run(project, host, "long", "--follow")
    assert last(host, "long")["release"] == current(host, "shop")
    host.sh("rm /srv/shop/shared/go")


@pytest.mark.nightly
def test_a_pause_outlives_a_deploy_and_a_power_cut(project: Project, module_host: LabHost) -> None:
    """And a run that was cut off is shown as such."""
    host = module_host
    project.fab("timer.pause", "-H", host.name, "--name", "slow", "--message", "too slow")
    count = len(runs(host, "slow"))
    let_it_be_due(host, "slow")
    assert len(runs(host, "slow")) == count
    let_it_be_due(host)
    run(project, host, "long")
    cut = last(host, "long")["number"]
    done = next(run for run in runs(host, "job") if run["due"])
    host.sh(f"rm /srv/shop/timers/job/{done['number']}.json")
    host.power_cut()
    host.boot()
    is_active = f"systemctl is-active {UNIT.format('slow', 'timer')} || true"
    until(lambda: host.sh(is_active) == "active\n", seconds=60)
    listed = project.fab("timer.list", "-H", host.name).text
    assert "paused by" in listed
    assert "cut: nobody noted its end" in listed
    project.fab("timer.resume", "-H", host.name, "--name", "slow")
    assert "paused by" not in project.fab("timer.list", "-H", host.name).text
    noted = project.fab("status", "-H", host.name).text
    assert f"timer long: run {cut} cut" in noted
    # The power failed before this one was on record; systemd counts it as run.
    until(lambda: last(host)["due"] == done["due"], seconds=60)


def calendar(host: LabHost, name: str = "job") -> str:
    shown = host.sh(f"systemctl show --property=TimersCalendar {UNIT.format(name, 'timer')}")
    return shown.partition("OnCalendar=")[2].partition(" ;")[0]


@pytest.mark.nightly
def test_another_schedule_goes_with_its_release(project: Project, module_host: LabHost) -> None:
    host = module_host
    project.settings(SETTINGS.replace("0 3 1 1 *", "30 4 1 1 *"))
    planned = project.fab("plan", "-H", host.name).text
    assert "timer ~ job 0 3 1 1 * Europe/Berlin -> 30 4 1 1 * Europe/Berlin, next run" in planned
    project.fab("deploy", "-H", host.name)
    assert calendar(host) == "*-01-01 04:30:00 Europe/Berlin"
    count = len(runs(host, "job"))
    host.sh(f"systemctl start {UNIT.format('job', 'service')}")
    assert len(runs(host, "job")) == count, "what was due before it came is nobody's"
    project.fab("rollback", "-H", host.name)
    assert calendar(host) == "*-01-01 03:00:00 Europe/Berlin"
    run(project, host, "long")
    project.settings(SETTINGS.partition("[timers.job]")[0])
    project.fab("deploy", "-H", host.name)
    assert host.sh(f"ls /etc/systemd/system | grep -c {UNIT.format('job', '')} || true") == "0\n"
    waits = UNIT.format("long", "service")  # it stays until its last job has ended
    assert host.sh(f"systemctl show --property=TimeoutStartUSec --value {waits}") == "infinity\n"
    for task in ("ps", "timer.list"):
        assert re.search("long .* its last run .* running", project.fab(task, "-H", host.name).text)
    host.sh("touch /srv/shop/shared/go")
    until(lambda: host.sh(f"systemctl is-active {waits} || true") == "inactive\n")
    assert last(host, "long")["result"] == "done"


def test_each_minute_had_one_run(project: Project, module_host: LabHost) -> None:
    """Through all of the above."""
    until(lambda: time.time() % 60 > 2, seconds=5)
    found = runs(module_host, "minute")
    since = json.loads(module_host.sh("cat /srv/shop/timers/minute/since.*"))["since"]
    first = since // 60 * 60 + 60
    assert [run["due"] for run in found] == list(range(int(first), int(time.time()), 60))
    assert {run["result"] for run in found} <= {"done", "running", "cut"}


def test_nothing_is_left_of_them(project: Project, module_host: LabHost) -> None:
    host = module_host
    project.fab("uninstall", "-H", host.name, "--yes")
    left = host.sh(
        "systemctl list-units --all --plain --no-legend 'cartwheel-shop*'; ls"
        " /etc/systemd/system /run/systemd/system /var/lib/systemd/timers | grep shop || true"
    )
    assert left.strip() == ""
