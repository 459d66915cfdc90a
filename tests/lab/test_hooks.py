"""Hooks on a real host: what they are given, what their failure does, and what is left of one
that is stopped."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel.plan.hooks import moments
from cartwheel.settings.phases import HERE_ONLY
from cartwheel_lab import LabHost
from cartwheel_lab.lab import STATE_VARIABLE
from tests.kit.fab import fab
from tests.kit.host import await_sessions, current, get, instance_unit, main_pids, releases
from tests.kit.project import Done, Project, new_project
from tests.kit.tiers import tiered
from tests.kit.visitors import loaded

pytestmark = pytest.mark.timeout(300)

BASE = """
[app]
name = "shop"
source = "app"
[tests]
skip = true
[env]
GREETING = "hello"
[deploy]
drain_seconds = 2
probation_seconds = 0.5
lease_seconds = 5
migrate = "true"
[gunicorn]
workers = 1
"""
# On a host who, where, with what; here the environment that is documented.
_SAYS_THERE = """
command = 'echo "$CARTWHEEL_PHASE|$(id -un)|$PWD|$GREETING|$(basename "$VIRTUAL_ENV")\
|$CARTWHEEL_RELEASE|$CARTWHEEL_PREVIOUS" >> said'
"""
_SAYS_HERE = "command = 'env | grep ^CARTWHEEL_ | sort > \"said/$CARTWHEEL_PHASE\"'\n"
VISITORS: dict[str, Any] = {
    "slow": 0,
    "upload": 0,
    "stream": 0,
    "path": "/",
    "release_pattern": "",
}
_SLEEPS = "sleep 300 & sleep 300"


@pytest.fixture(scope="module")
def served(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.settings(BASE)
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    return project


@pytest.fixture
def project(served: Project, module_host: LabHost) -> Iterator[Project]:
    """Another text to deploy each time."""
    served.app(f"text {time.monotonic_ns()}")
    yield served
    await_sessions(module_host)


def deploy(project: Project, host: LabHost, hooks: str, *words: str, code: int = 0) -> Done:
    project.settings(BASE + hooks)
    return project.fab("deploy", "-H", host.name, *words, code=code)


def sleepers(host: LabHost) -> str:
    return host.sh("pgrep -af '[s]leep 300' || true").strip()


def test_each_moment_with_all_that_is_documented(project: Project, module_host: LabHost) -> None:
    host = module_host
    hooks = ""
    (project.folder / "said").mkdir()
    for number, moment in enumerate(moments()):
        at = f'{moment.side} = "{moment.phase}"\n'
        hooks += f"[hooks.here{number}]\n{at}{_SAYS_HERE}"
        if moment.phase not in HERE_ONLY:
            hooks += f'[hooks.there{number}]\nwhere = "hosts"\n{at}{_SAYS_THERE}'
    before = current(host, "shop")
    done = deploy(project, host, hooks, "--message", "a fix")
    now = current(host, "shop")
    assert now != before
    there = [line.split("|") for line in host.sh("cat /srv/shop/shared/said").splitlines()]
    assert [line[0] for line in there] == [
        str(moment) for moment in moments() if moment.phase not in HERE_ONLY
    ]
    for phase, *rest in there:
        made = ["", ""] if phase == "before prepare" else ["hello", "venv"]
        assert rest == ["shop", "/srv/shop/shared", *made, now, before], phase
    here = {path.name: _variables(path) for path in (project.folder / "said").iterdir()}
    assert set(here) == {str(moment) for moment in moments()}
    known = here["before confirm"]
    assert known.pop("CARTWHEEL_WHO").count("@") == 1
    assert known == {
        "CARTWHEEL_APP": "shop",
        "CARTWHEEL_HOOK": known["CARTWHEEL_HOOK"],
        "CARTWHEEL_PHASE": "before confirm",
        "CARTWHEEL_KIND": "deploy",
        "CARTWHEEL_MESSAGE": "a fix",
        "CARTWHEEL_HOSTS": host.name,
        "CARTWHEEL_RELEASE": now,
        "CARTWHEEL_VERSION": now.rpartition(".")[0].replace(".g", "+g"),
    }
    assert Path(here["after build"]["CARTWHEEL_WHEEL"]).is_file()
    assert here["after run"]["CARTWHEEL_RESULT"] == "done"
    assert here["after run"]["CARTWHEEL_RELEASE"] == now
    assert f"[{host.name}] ✓ hook there" in done.out
    assert "[here] ✓ hook here" in done.out
    host.sh("rm /srv/shop/shared/said")


def _variables(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if STATE_VARIABLE not in line]
    return dict(line.split("=", 1) for line in lines)


def test_the_plan_shows_them_and_runs_those_of_the_build_only(
    project: Project, module_host: LabHost
) -> None:
    hooks = """
    [hooks.front]
    before = "build"
    command = "touch front"
    [hooks.dump]
    before = "migrate"
    where = "one-host"
    command = "touch dumped"
    """
    project.settings(BASE + hooks)
    text = project.fab("plan", "-H", module_host.name).out
    assert f"[{module_host.name}]   hook dump: before migrate on one host: touch dumped" in text
    assert (project.folder / "front").exists()
    assert not module_host.path("/srv/shop/shared/dumped").exists()
    assert "hook" not in project.fab("plan", "-H", module_host.name, "--skip-hooks").out


@pytest.mark.nightly
def test_a_smoke_test_that_fails_puts_it_back_unnoticed(
    project: Project, module_host: LabHost
) -> None:
    host = module_host
    before, text = current(host, "shop"), get(host)
    hooks = """
    [hooks.smoke]
    before = "confirm"
    command = "sleep 7; echo 2 of 7 failed; exit 7"  # longer than the lease
    [hooks.tell]
    after = "run"
    command = 'echo "$CARTWHEEL_RESULT" > told'
    """
    with loaded(host, **VISITORS) as load:
        done = deploy(project, host, hooks, code=Exit.REVERTED)
    assert load.result["failed"] == 0
    assert f"{host.name}: hook smoke (before confirm) ended with 7 [CW609]" in done.err
    assert "2 of 7 failed" in done.err
    assert "skip all hooks once with `--skip-hooks`" in done.err
    assert (project.folder / "told").read_text() == "rolled-back\n"
    assert (current(host, "shop"), get(host)) == (before, text)
    project.fab("deploy", "-H", host.name, "--skip-hooks")
    assert current(host, "shop") != before


def test_one_that_fails_on_the_host_before_the_switch_leaves_nothing(
    project: Project, module_host: LabHost
) -> None:
    host = module_host
    before, known = current(host, "shop"), releases(host, "shop")
    hook = '[hooks.warm]\nbefore = "switch"\nwhere = "hosts"\ncommand = "echo no >&2; exit 1"\n'
    done = deploy(project, host, hook, code=Exit.FAILED)
    assert f"{host.name}: hook warm (before switch) ended with 1 [CW609]" in done.err
    assert "| no" in done.err
    assert (current(host, "shop"), releases(host, "shop")) == (before, known)


@pytest.mark.nightly
def test_after_the_confirmation_it_goes_forward(project: Project, module_host: LabHost) -> None:
    before = current(module_host, "shop")
    hook = '[hooks.late]\nafter = "confirm"\nwhere = "hosts"\ncommand = "exit 3"\n'
    done = deploy(project, module_host, hook, code=Exit.ATTENTION)
    assert "needs attention" in done.out
    assert current(module_host, "shop") != before
    assert list(main_pids(module_host, "shop")) == [instance_unit(module_host, "shop")], (
        "the old one has been stopped all the same"
    )


@pytest.mark.parametrize("where", tiered(["here", "hosts"], nightly={"here"}))
def test_one_that_takes_too_long_is_ended_with_all_it_started(
    project: Project, module_host: LabHost, where: str
) -> None:
    hook = (
        f'[hooks.slow]\nafter = "prepare"\nwhere = "{where}"\n'
        f'command = "echo begun; {_SLEEPS}"\ntimeout_seconds = 1\n'
    )
    done = deploy(project, module_host, hook, code=Exit.FAILED)
    assert "hook slow (after prepare) did not end within 1 s [CW609]" in done.err
    assert "| begun" in done.err
    assert sleepers(module_host) == ""
    assert _sleepers_here(project) == []


def _sleepers_here(project: Project) -> list[str]:
    """Processes on this machine that a hook of this project has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line, place = (folder / "cmdline").read_bytes(), (folder / "cwd").readlink()
        except OSError:
            continue
        if b"sleep\x00300" in line and place == project.folder:
            found.append(folder.name)
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("where", ["here", "hosts"])
def test_ctrl_c_ends_it_and_puts_all_in_order(
    project: Project, module_host: LabHost, where: str
) -> None:
    host = module_host
    before = current(host, "shop")
    hooks = f"""
    [hooks.slow]
    after = "switch"
    where = "{where}"
    command = "{_SLEEPS}"
    [hooks.tell]
    after = "run"
    command = 'echo "$CARTWHEEL_RESULT" > told'
    """
    project.settings(BASE + hooks)
    with fab(project, "deploy", "-H", host.name) as running:
        running.wait_for(("hook slow", "start"))
        os.kill(running.process.pid, signal.SIGINT)
        assert running.end() == Exit.INTERRUPTED
    await_sessions(host)
    assert (project.folder / "told").read_text() == "interrupted\n"
    assert current(host, "shop") == before
    assert sleepers(host) == ""
    assert _sleepers_here(project) == []
    assert not host.path("/srv/shop/pending.json").exists()


@pytest.mark.nightly
def test_a_deployer_that_is_killed_in_a_hook(project: Project, module_host: LabHost) -> None:
    """The host goes back by itself, and its hook is gone."""
    host = module_host
    before, text = current(host, "shop"), get(host)
    hook = f'[hooks.slow]\nafter = "switch"\nwhere = "hosts"\ncommand = "{_SLEEPS}"\n'
    project.settings(BASE + hook)
    with loaded(host, **VISITORS) as load:
        with fab(project, "deploy", "-H", host.name) as running:
            running.wait_for(("hook slow", "start"))
            running.process.kill()
            running.end()
        await_sessions(host)
    assert load.result["failed"] == 0
    assert (current(host, "shop"), get(host)) == (before, text)
    assert sleepers(host) == ""
    deploy(project, host, "")
    assert current(host, "shop") != before


@pytest.mark.nightly
def test_no_hook_stops_a_rollback(project: Project, module_host: LabHost) -> None:
    host = module_host
    before = current(host, "shop")
    deploy(project, host, "")
    hooks = """
    [hooks.smoke]
    before = "confirm"
    command = "exit 1"
    kinds = ["deploy", "rollback"]
    [hooks.warm]
    before = "switch"
    where = "hosts"
    command = "exit 1"
    kinds = ["rollback"]
    """
    project.settings(BASE + hooks)
    done = project.fab("rollback", "-H", host.name, "--json")
    assert current(host, "shop") == before
    failed = [
        one["step"]
        for one in map(json.loads, done.out.splitlines())
        if one.get("state") == "failed"
    ]
    assert failed == ["hook warm", "hook smoke"]


def test_a_hook_before_the_run_that_fails_begins_nothing(
    project: Project, module_host: LabHost
) -> None:
    hook = '[hooks.gate]\nbefore = "run"\ncommand = "echo not on a Friday; exit 1"\n'
    done = deploy(project, module_host, hook, code=Exit.FAILED)
    assert "error: hook gate (before run) ended with 1 [CW609]" in done.err
    assert "| not on a Friday" in done.err
    assert "connect" not in done.out
