"""Workers, a poller that must not overlap and an exclusive one beside web, on a real host."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cartwheel.settings.command_words import for_systemd, parse
from cartwheel_lab import LabHost
from tests.kit import processes
from tests.kit.host import await_sessions, current
from tests.kit.processes import running, told, twice_at_once
from tests.kit.project import SHOP, Done, Project, new_project
from tests.kit.tiers import tiered
from tests.kit.visitors import one_visitor
from tests.kit.waiting import until
from tests.unit.settings.test_command_words import COMMANDS, ENV, words_of_shell

pytestmark = pytest.mark.timeout(300)

PROCESSES = processes.SETTINGS.replace(
    "count = 2", 'count = 2\nready = "grep -q \\"$CARTWHEEL_INSTANCE begins\\" told"'
)


@pytest.fixture(scope="module")
def served(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.settings(SHOP + PROCESSES)
    project.write(f"app/{processes.MODULE}.py", processes.PROGRAM)
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    return project


@pytest.fixture
def project(served: Project, module_host: LabHost) -> Iterator[Project]:
    """Another text to deploy each time."""
    served.app(f"text {time.monotonic_ns()}")
    served.settings(SHOP + PROCESSES)
    yield served
    await_sessions(module_host)


ALL = {"web": 1, **processes.COUNTS}


def deploy(project: Project, host: LabHost, *words: str, code: int = 0) -> Done:
    return project.fab("deploy", "-H", host.name, *words, code=code)


def test_all_of_it_moves_and_nothing_is_cut_off(project: Project, module_host: LabHost) -> None:
    assert running(module_host) == ALL
    begun = {one.instance for one in told(module_host) if one.begins}
    assert len(begun) == sum(ALL.values()) - ALL["web"]
    with one_visitor(module_host) as visitor:
        deploy(project, module_host)
    assert visitor.result["failed"] == 0
    assert running(module_host) == ALL
    until(lambda: sum(one.what == "ends" for one in told(module_host)) == len(begun))
    alone = [one for one in told(module_host) if one.process in ("poller", "beat")]
    for process in ("poller", "beat"):
        order = [one.what.split()[0] for one in alone if one.process == process]
        assert order == ["begins", "ends", "begins"], "never two at once"


# What is wrong with both workers, what their deploy says of one, and its exit code.
JOB = "python -m work jobs"
BROKEN = {
    "it crashes": (JOB, "python -c 1/0", [r"worker [12] ended \(exit-code\)", "CW603"], 3),
    "it ends by itself": (JOB, "python -c 1", ["worker [12] ended by itself", "CW603"], 3),
    "it is never ready": (
        'ready = "grep',
        'ready = "echo no such job; exit 1; grep',
        ["worker [12]: `echo no such job", "ended with 1: no such job", "CW603"],
        3,
    ),
    "no such program": (JOB, "celeryd -m work", ["there is no program celeryd", "CW518"], 1),
}


@pytest.mark.parametrize("how", tiered(BROKEN, nightly=BROKEN.keys() - {"no such program"}))
def test_a_worker_that_does_not_work(how: str, project: Project, module_host: LabHost) -> None:
    right, wrong, said, code = BROKEN[how]
    before, lines = current(module_host, "shop"), len(told(module_host))
    text = SHOP + PROCESSES
    assert right in text
    project.settings(text.replace(right, wrong, 1))
    done = deploy(project, module_host, code=code)
    for words in said:
        assert re.search(words, done.text), done.text
    assert current(module_host, "shop") == before
    assert running(module_host) == ALL
    ended = {one.process for one in told(module_host)[lines:] if one.what == "ends"}
    assert "beat" not in ended, "nobody has stopped it"


LONG = (SHOP + PROCESSES).replace("stop_seconds = 20", "stop_seconds = 300", 1)


def ps(project: Project, host: LabHost) -> list[dict[str, Any]]:
    result = json.loads(project.fab("ps", "-H", host.name, "--json").out.splitlines()[-1])
    rows: list[dict[str, Any]] = result["hosts"][0]["answer"]["instances"]
    return rows


def states(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The processes in each state."""
    found: dict[str, list[str]] = {}
    for one in rows:
        found.setdefault(one["state"], []).append(one["process"])
    return {state: sorted(names) for state, names in found.items()}


@pytest.mark.nightly
def test_processes_alone(project: Project, module_host: LabHost) -> None:
    """Restart, stop and start some; a job under way is never cut, and its release stays."""
    on = ("-H", module_host.name)
    every = ["beat", "poller", "web", "worker", "worker"]
    project.settings(LONG)
    deploy(project, module_host)
    module_host.sh("touch '/srv/shop/shared/jobs'")
    first = current(module_host, "shop")
    until(lambda: states(ps(project, module_host)) == {"running": every})

    done = project.fab("process.restart", *on, "--name", "worker,poller")
    assert "restarted: worker, poller; 2 worker of " in done.text
    rows = ps(project, module_host)
    assert states(rows) == {"running": every, "draining": ["worker", "worker"]}
    assert all(0 < one["until_seconds"] <= 300 for one in rows if one["state"] == "draining")
    assert "until" in project.fab("ps", *on).text
    assert running(module_host)["worker"] == 4 - 2
    units = module_host.sh("systemctl list-units --plain --no-legend 'cartwheel-shop.worker.*'")
    assert sorted(row.split("@")[1].split(".service")[0] for row in units.splitlines()) == [
        *("1.1", "1.2", "2.1", "2.2")
    ]
    seen = project.fab("logs", *on, "--process", "worker", "--since", "1h").out
    assert re.search(r"^\[lab1\] \S+ \S+ worker 2 systemd: ", seen, re.MULTILINE)
    assert not re.search(r" (app|beat.*|gunicorn|cartwheel): ", seen)
    wrong = project.fab("logs", *on, "--process", "workr", code=None).text
    assert "--process workr: no release here has this process" in wrong
    assert "already live" in deploy(project, module_host).text, "what runs where is no change"

    project.app("another text")
    done = deploy(project, module_host)
    assert f"4 worker of {first} finish their jobs, until" in done.text
    project.app("a third one")
    deploy(project, module_host)
    third = current(module_host, "shop")
    project.fab("prune", "--keep", "1", *on)
    assert first in module_host.sh("ls /srv/shop/releases"), "its job is under way"
    project.fab("rollback", *on)
    project.fab("prune", "--keep", "1", *on)
    assert third in module_host.sh("ls /srv/shop/releases"), "its job is under way"
    module_host.sh("rm '/srv/shop/shared/jobs'")
    until(lambda: "draining" not in states(ps(project, module_host)))
    project.fab("prune", "--keep", "1", *on)
    assert third not in module_host.sh("ls /srv/shop/releases")
    of_first = [one for one in told(module_host) if f"-{first}-" in one.instance]
    begun = {one.instance for one in of_first if one.begins}
    assert {one.instance for one in of_first if one.what == "ends"} == begun, "none was cut"


@pytest.mark.nightly
def test_a_stopped_process(project: Project, module_host: LabHost) -> None:
    on, named = ("-H", module_host.name), ("--name", "worker,beat")
    deploy(project, module_host)
    project.fab("process.stop", *on, *named, "--message", "the queue is full")
    left = {"web": 1, "poller": 1}
    assert running(module_host) == left
    assert "already stopped" in project.fab("process.stop", *on, *named).text
    shown = project.fab("ps", *on).text
    assert "the queue is full" in shown
    assert shown.count(" stopped ") >= 3
    assert "worker is stopped by" in project.fab("status", *on).text
    project.app("another text")
    assert "worker is stopped by" in project.fab("plan", *on).text
    deploy(project, module_host)
    assert running(module_host) == left
    project.fab("rollback", *on)
    project.fab("restart", *on)
    assert running(module_host) == left
    assert "`fab process.start" in project.fab("process.restart", *on, *named, code=5).text
    assert "`fab stop" in project.fab("process.stop", *on, "--name", "web", code=2).text
    assert "Did you mean worker?" in project.fab("process.stop", *on, "--name=workr", code=2).text
    project.settings(SHOP)  # the live release still has them
    wrong = project.fab("process.stop", *on, "--name", "poller,workr", code=2).text
    assert "there is no process workr" in wrong
    assert "Did you mean worker?" in wrong
    assert running(module_host) == left, "none was stopped"
    project.fab("process.restart", *on, "--name", "poller")
    assert running(module_host) == left
    project.fab("lock.hold", *on, "--message", "the sale")
    assert "the sale" in project.fab("process.start", *on, *named, code=5).text
    project.fab("lock.release", *on)
    project.fab("process.start", *on, *named)
    assert running(module_host) == ALL
    tasks = project.fab("history", *on).text
    assert "process.stop beat, worker" in tasks
    assert "process.start beat, worker" in tasks


# The worker's start, and what `beat` needs, are there unless somebody takes them away.
_FRAGILE = PROCESSES.replace(
    "python -m work beat", "sh -c '. ./needed && exec python -m work beat'"
)
_FRAGILE = _FRAGILE.replace('ready = "grep', 'ready = "test -e needed && grep')


@pytest.mark.nightly
def test_a_restart_that_fails(project: Project, module_host: LabHost) -> None:
    """Overlapping old ones go on. Without an old one, systemd starts the new one again and again,
    and status says so."""
    on = ("-H", module_host.name)
    needed = module_host.path("/srv/shop/shared/needed")
    module_host.sh("touch /srv/shop/shared/needed")
    project.settings((SHOP + _FRAGILE).replace("deadline_seconds = 10", "deadline_seconds = 5"))
    deploy(project, module_host)
    before = pids(module_host)
    needed.unlink()
    done = project.fab("process.restart", *on, "--name", "worker", code=1)
    assert re.search("worker [12]: `test -e needed", done.text)
    assert "; the old instances go on [CW610]" in done.text
    until(lambda: pids(module_host) == before)
    project.fab("status", *on)
    done = project.fab("process.restart", *on, "--name", "beat", code=1)
    assert "beat 1 ended (exit-code); systemd starts it again whenever it ends [CW610]" in done.text
    assert "cannot open ./needed" in done.text, "its log"
    until(lambda: "restarted " in project.fab("status", *on, code=1).text)
    assert "process.restart beat" in project.fab("history", *on).text
    needed.touch()
    until(lambda: running(module_host) == ALL)
    project.fab("status", *on, code=1)
    project.fab("process.restart", *on, "--name", "beat")
    project.fab("status", *on)


def pids(host: LabHost) -> dict[str, str]:
    """The main process of each unit of a process besides web, of the live release. Instances of
    earlier ones may still be ending."""
    units = f"cartwheel-shop.*.{current(host, 'shop')}@*.*.service"
    rows = host.sh(f"systemctl show --property=Id,MainPID '{units}'").split()
    return dict(zip(rows[1::2], rows[::2], strict=True))


def test_the_way_back(project: Project, module_host: LabHost) -> None:
    before = current(module_host, "shop")
    deploy(project, module_host)
    project.fab("rollback", "-H", module_host.name)
    assert current(module_host, "shop") == before
    assert running(module_host) == ALL
    project.fab("restart", "-H", module_host.name)
    assert running(module_host) == ALL
    project.fab("stop", "-H", module_host.name)
    assert running(module_host) == {}
    project.fab("start", "-H", module_host.name)
    assert running(module_host) == ALL
    project.fab("process.stop", "-H", module_host.name, "--name", "worker")
    module_host.power_cut()
    module_host.boot()
    until(lambda: running(module_host) == {"web": 1, "poller": 1, "beat": 1}, seconds=60)
    project.fab("process.start", "-H", module_host.name, "--name", "worker")
    assert running(module_host) == ALL
    project.fab("deploy", "-H", module_host.name)
    assert running(module_host) == ALL


def alternates(host: LabHost, process: str, *, since: float, cuts: int = 0) -> None:
    """It never ran twice at once. One that is cut off with the power has no last words."""
    lines = [one for one in told(host) if one.at > since]
    assert len(twice_at_once(lines, process)) <= cuts, lines


def test_an_exclusive_process_that_fails_gives_way(project: Project, module_host: LabHost) -> None:
    before, began = current(module_host, "shop"), time.time()
    project.settings((SHOP + PROCESSES).replace("python -m work beat", "python -c 1/0"))
    done = deploy(project, module_host, code=3)
    assert "beat 1 ended (exit-code)" in done.text
    assert current(module_host, "shop") == before
    until(lambda: running(module_host) == ALL)
    alternates(module_host, "beat", since=began)


_CUTS = {"the session": 0, "the host": 1}


@pytest.mark.nightly
@pytest.mark.parametrize("dies", _CUTS)
def test_dying_while_the_old_exclusive_one_ends(
    dies: str, project: Project, module_host: LabHost
) -> None:
    """Nothing is confirmed then: the host goes back, and the old one starts again once it ended.

    It has a job while there is the file `beat`."""
    began = time.time()
    project.settings(SHOP + PROCESSES)
    deploy(project, module_host)
    before = current(module_host, "shop")
    module_host.sh("touch /srv/shop/shared/beat")
    project.app(f"text {time.monotonic_ns()}")
    with project.begin("deploy", "-H", module_host.name) as deploying:
        ending = f"systemctl is-active 'cartwheel-shop.beat.{before}@*' | grep -q deactivating"
        until(lambda: module_host.sh(f"{ending} && echo yes || true") == "yes\n", seconds=60)
        if dies == "the session":
            module_host.sh("systemctl kill -s KILL 'cartwheel-session-shop-*'")
        else:
            module_host.power_cut()
            module_host.boot()
        module_host.sh("rm /srv/shop/shared/beat")
        assert deploying.wait(90) != 0
    until(lambda: running(module_host) == ALL, seconds=60)
    assert current(module_host, "shop") == before
    alternates(module_host, "beat", since=began, cuts=_CUTS[dies])
    deploy(project, module_host)
    assert running(module_host) == ALL
    alternates(module_host, "beat", since=began, cuts=_CUTS[dies])


ARGUMENTS = """
import json, sys
with open("/root/arguments", "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""


def test_words_reach_the_program(module_host: LabHost) -> None:
    """systemd makes of a command what a shell makes of it."""
    lines = [for_systemd(parse(command)) for command in COMMANDS]
    unit = [
        "[Service]",
        "Type=oneshot",
        *(f'Environment="{name}={value}"' for name, value in ENV.items()),
        *(f"ExecStart=/usr/bin/env python3 /root/arguments.py {line}" for line in lines),
    ]
    module_host.path("/root/arguments.py").write_text(ARGUMENTS)
    module_host.path("/run/systemd/system/arguments.service").write_text("\n".join(unit) + "\n")
    module_host.sh("systemctl daemon-reload && systemctl start arguments.service")
    found = map(json.loads, module_host.sh("cat /root/arguments").splitlines())
    assert list(found) == [words_of_shell(command) for command in COMMANDS]
