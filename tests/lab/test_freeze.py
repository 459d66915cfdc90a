"""A freeze on real hosts: every word that changes is refused, for the whole fleet, before any
change; a crash is settled all the same. And locks of two fleets that cross."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel.fab import FleetTask
from cartwheel_lab import LabHost
from tests.kit.fab import fab
from tests.kit.host import await_sessions, current, get, journal, marks, touched
from tests.kit.project import Done, Project, new_project
from tests.kit.tiers import is_nightly, tiered

pytestmark = pytest.mark.timeout(300)

WHY = "no changes during the sale"
# All that a change would write to. Taking the lock and logging in are none.
WRITTEN = ("/etc", "/srv", "/usr/local", "/var/lib/cartwheel", "/var/log/cartwheel")
# What a word needs beside the hosts. A new word that needs something fails here until it is named.
OPTIONS = {"doctor": ("--fix",), "uninstall": ("--yes",)}


def changing_words() -> dict[str, FleetTask]:
    """From the namespace itself: a new changing word is covered by itself."""
    from tasks import namespace

    def named(collection: Any, prefix: str = "") -> Iterator[tuple[str, FleetTask]]:
        for name, task in collection.tasks.items():
            yield prefix + collection.transform(name), task
        for name, inner in collection.collections.items():
            yield from named(inner, f"{prefix}{name}.")

    return {name: task for name, task in named(namespace) if getattr(task, "changing", False)}


@pytest.fixture(scope="module")
def project(
    request: pytest.FixtureRequest, pair: list[LabHost], tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """In the nightly run two releases on both hosts, so that each word has something to do."""
    project = new_project(tmp_path_factory.mktemp("frozen"))
    on(project, pair, "setup")
    if is_nightly(request):
        on(project, pair, "deploy")
    project.app("two")
    on(project, pair, "deploy")
    project.app("three")
    return project


def names(pair: list[LabHost]) -> str:
    return ",".join(host.name for host in pair)


def on(project: Project, pair: list[LabHost], *words: str, code: int = 0) -> Done:
    return project.fab(*words, "-H", names(pair), code=code)


def probation(project: Project, seconds: float) -> None:
    """How long a switch is pending."""
    path = project.folder / "config" / "deploy.toml"
    text = re.sub(r"probation_seconds = .*", f"probation_seconds = {seconds}", path.read_text())
    path.write_text(text)


@pytest.fixture
def frozen(project: Project, pair: list[LabHost]) -> Iterator[LabHost]:
    """The second one of both hosts is held."""
    held = pair[1]
    project.fab("lock.hold", "-H", held.name, "--message", WHY)
    for host in pair:
        await_sessions(host)
    yield held
    project.fab("lock.release", "-H", held.name)


def test_it_knows_the_words() -> None:
    assert {"setup", "deploy", "upload", "venv", "install", "configure", "rollback"} <= set(
        changing_words()
    )
    assert {"restart", "stop", "start", "prune", "packages", "uninstall", "doctor"} <= set(
        changing_words()
    )
    assert "nginx.reload" in changing_words()
    assert not {"lock.hold", "lock.release", "releases", "plan"} & set(changing_words())


# They change the balancer's hosts; tests/lab/test_balancer.py freezes one of those. And
# `status --finish` needs a host that is behind: tests/lab/test_rollout.py.
ELSEWHERE = {"balancer.back", "balancer.out", "balancer.setup", "status"}


CHANGING = sorted(changing_words().keys() - ELSEWHERE)
EVERY_RUN = {"deploy"}


@pytest.mark.parametrize("word", tiered(CHANGING, nightly=set(CHANGING) - EVERY_RUN))
def test_every_changing_word_is_refused_for_the_whole_fleet(
    project: Project, pair: list[LabHost], frozen: LabHost, word: str
) -> None:
    before = [marks(host, *WRITTEN) for host in pair]
    done = on(project, pair, word, *OPTIONS.get(word, ()), code=Exit.LOCKED)
    (line,) = [line for line in done.err.splitlines() if line.endswith("[CW703]")]
    assert line.startswith(f"error: {frozen.name}: frozen by ")
    assert "since 20" in line
    assert f"({WHY})" in line
    assert "fab lock.release -H " in done.err
    for host, was in zip(pair, before, strict=True):
        assert touched(was, marks(host, *WRITTEN)) == set()
        assert get(host) == "two"


def test_who_looks_is_told(project: Project, pair: list[LabHost], frozen: LabHost) -> None:
    assert WHY in on(project, pair, "status").out
    plan = on(project, pair, "plan").out
    assert f"[{frozen.name}]   refused: frozen by" in plan
    assert f"[{pair[0].name}]   refused" not in plan
    told = json.loads(on(project, pair, "lock.status", "--json").out.splitlines()[-1])["hosts"]
    free, held = (one["answer"] for one in told)
    assert free == {"lock": None, "freeze": None}
    assert held["lock"] is None
    assert held["freeze"]["message"] == WHY
    table = on(project, pair, "lock.status").out.splitlines()
    assert table[1].split()[:2] == [pair[0].name, "free"]
    assert table[2].split()[:2] == [frozen.name, "frozen"]
    assert table[2].endswith(WHY)


@pytest.mark.nightly
def test_it_stays_over_a_reboot_and_another_one_is_refused_on_every_host(
    project: Project, pair: list[LabHost], frozen: LabHost
) -> None:
    frozen.power_cut()
    frozen.boot()
    before = marks(pair[0], "/srv")
    done = on(project, pair, "lock.hold", "--message", "something else", code=Exit.LOCKED)
    assert f"({WHY})" in done.err
    assert touched(before, marks(pair[0], "/srv")) == set(), "all or none"
    again = project.fab("lock.hold", "-H", frozen.name, "--message", WHY)
    assert "already frozen by" in again.out


def test_a_freeze_wants_a_reason(project: Project, pair: list[LabHost]) -> None:
    done = on(project, pair, "lock.hold", code=Exit.USAGE)
    assert "a freeze needs a reason" in done.err
    assert "--message '" in done.err


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon", ""])
def test_a_wait_is_a_number_of_seconds(project: Project, pair: list[LabHost], seconds: str) -> None:
    done = on(project, pair, "restart", f"--wait={seconds}", code=Exit.USAGE)
    assert f"--wait takes seconds, from 0 to 86400, not '{seconds}'" in done.err


@pytest.mark.nightly
def test_a_crash_is_settled_while_frozen(project: Project, pair: list[LabHost]) -> None:
    """A switch that nobody confirmed goes back at boot; safety is not frozen."""
    host = pair[0]
    serves = current(host, "shop")
    probation(project, 5)
    with fab(project, "deploy", "-H", host.name) as running:
        running.wait_for(("traffic", "done"))
        assert current(host, "shop") != serves
        host.path("/srv/shop/frozen.json").write_text(
            json.dumps({"owner": "ann@desk", "since": "today", "message": WHY})
        )
        host.power_cut()
        running.process.kill()
        running.end()
    host.boot()
    done = project.fab("deploy", "-H", host.name, code=Exit.LOCKED)
    assert "frozen by ann@desk since today" in done.err
    assert current(host, "shop") == serves
    assert journal(host, "shop")[-1]["result"] == "reverted"
    project.fab("lock.release", "-H", host.name)
    assert [line["kind"] for line in journal(host, "shop")][-1] == "release"


@pytest.mark.nightly
def test_a_hold_waits_for_a_deploy_and_is_told_who_it_is(
    project: Project, pair: list[LabHost]
) -> None:
    host = pair[0]
    probation(project, 15)  # time for three looks on a busy machine
    with fab(project, "deploy", "-H", host.name, "--message", "the new shop") as running:
        running.wait_for(("traffic", "done"))
        refused = project.fab(
            "lock.hold", "-H", host.name, "--message", WHY, "--wait", "0.5", code=Exit.LOCKED
        )
        assert "locked by " in refused.err
        assert "(the new shop) [CW701]" in refused.err
        status = project.fab("lock.status", "-H", host.name)
        assert status.out.splitlines()[1].split()[1] == "locked"
        assert status.out.rstrip().endswith("the new shop")
        waited = project.fab("lock.hold", "-H", host.name, "--message", WHY, "--wait", "60")
        assert "frozen by" in waited.out
        assert running.end() == 0
    project.fab("lock.release", "-H", host.name)


@pytest.mark.nightly
def test_two_fleets_in_opposite_order_do_not_wait_for_each_other(
    project: Project, pair: list[LabHost]
) -> None:
    """Each takes its locks in one order, whatever the order of -H; who waits is not refused."""
    orders = (names(pair), names(pair[::-1]))
    for _ in range(3):
        crossing = [
            subprocess.Popen(
                project.command("nginx.reload", "-H", order, "--wait", "40"),
                cwd=project.folder,
                env=project.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for order in orders * 2
        ]
        try:
            for one in crossing:
                out, _ = one.communicate(timeout=60)
                assert one.returncode == 0, out
        finally:
            for one in crossing:
                one.kill()
                one.wait()
