"""`fab plan`: what it shows of a real host, that it changes nothing there, and that `fab deploy
--plan` does exactly that."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.host import await_sessions, current, get, journal
from tests.kit.project import Project, new_project

ENV = '[env]\nMODE = "{mode}"\n[secrets]\nKEY = {{ file = "key" }}\n'
UNITS = "systemctl list-units --all --plain --no-legend | awk '{print $1, $3, $4}' | sort"
PROCESSES = "ps -e -o comm= | grep -vx 'ps\\|sort\\|sh\\|grep\\|kworker.*' | sort"
RELEASE = re.compile(r"\b0\.0\.0\.g[0-9a-f]{12}\.[0-9a-f]{8}\b")
TIMES = re.compile(r"\d+\.\d s")


@pytest.fixture(scope="module")
def project(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One release serves; the next one would differ in everything that a plan shows."""
    project = new_project(tmp_path_factory.mktemp("shop"), settings=ENV.format(mode="one"))
    project.write("key", "hunter2")
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    change(project, "two")
    return project


def change(project: Project, text: str, key: str = "hunter3", more: str = "") -> None:
    """Another code, package, variable, secret, and another file of nginx's."""
    project.app(text)
    project.write("app/requirements.txt", "six\n")
    project.write("key", key)
    deploy = (project.folder / "config/deploy.toml").read_text()
    body = deploy.partition("[env]")[0].partition("[web]")[0]
    project.settings(
        f'{body}[web]\nclient_max_body_size = "11m"\n{more}{ENV.format(mode=text)}NEW = {{ file = "key" }}\n'
    )


def planned(project: Project, host: LabHost, *words: str, code: int = 0) -> dict[str, Any]:
    done = project.fab("plan", "-H", host.name, *words, "--json", code=code)
    result: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    return result


def test_it_shows_all_that_would_be_otherwise(project: Project, module_host: LabHost) -> None:
    text = project.fab("plan", "-H", module_host.name).out
    name = module_host.name
    for line in (
        "package + six ",
        "variable + NEW",
        "variable ~ KEY",
        "variable ~ MODE",
        "starts cartwheel-shop.web.0.0.0.g",
        f"stops cartwheel-shop.web.{current(module_host, 'shop')}.service",
        "--- /etc/nginx/conf.d/cartwheel-shop.conf",
        "-    client_max_body_size 10m;",
        "+    client_max_body_size 11m;",
        "note: nginx is reloaded",
    ):
        assert f"[{name}]   {line}" in text, f"{line}\n{text}"
    assert re.search(r"took \d+\.\d s the last time", text)
    assert "hunter" not in text
    assert "variable ~ NEW" not in text


def test_it_changes_nothing_on_the_host(project: Project, module_host: LabHost) -> None:
    """Units and processes; every file: tests/lab/test_promises.py."""
    await_sessions(module_host)
    before = module_host.sh(UNITS), module_host.sh(PROCESSES)
    project.fab("plan", "-H", module_host.name, "--out", "x.plan")
    await_sessions(module_host)
    assert (module_host.sh(UNITS), module_host.sh(PROCESSES)) == before
    assert project.fab("deploy", "-H", module_host.name, "--dry-run").out.startswith("[")
    assert get(module_host) == "one"


def test_twice_it_says_the_same(project: Project, module_host: LabHost) -> None:
    def said() -> str:
        text = project.fab("plan", "-H", module_host.name).out
        return TIMES.sub("TIME", RELEASE.sub("RELEASE", text))

    assert said() == said()


def test_its_exit_code_tells_whether_there_is_anything_to_do(
    project: Project, module_host: LabHost
) -> None:
    assert planned(project, module_host, "--exit-code", code=Exit.CHANGES)["batches"] == [["lab1"]]
    assert planned(project, module_host)["exit"] == 0


STALE: dict[str, tuple[dict[str, str], str]] = {
    "code": ({"text": "three"}, "the release would be "),
    "secret": ({"text": "two", "key": "hunter4"}, "the release would be "),
    "site": ({"text": "two", "more": "listen = 81\n"}, "switch would be another"),
}


@pytest.mark.parametrize(("changed", "says"), STALE.values(), ids=STALE)
def test_a_plan_is_stale_where_anything_has_changed(
    project: Project, module_host: LabHost, changed: dict[str, str], says: str
) -> None:
    name, serves = module_host.name, current(module_host, "shop")
    change(project, "two")
    project.fab("plan", "-H", name, "--out", "x.plan")
    change(project, **changed)
    lines = len(journal(module_host, "shop"))
    refused = project.fab("deploy", "-H", name, "--plan", "x.plan", code=Exit.FAILED)
    assert "[CW111]" in refused.err
    assert says in refused.err
    assert current(module_host, "shop") == serves
    assert len(journal(module_host, "shop")) == lines, "nothing was changed"
    change(project, "two")


def test_exactly_what_was_planned_is_done(project: Project, module_host: LabHost) -> None:
    name = module_host.name
    change(project, "two")
    plan = planned(project, module_host, "--out", "x.plan")["hosts"][0]
    done = project.fab("deploy", "-H", name, "--plan", "x.plan", "--json", "--message", "later")
    said = [json.loads(line) for line in done.out.splitlines()]
    began = [
        one["step"]
        for one in said
        if one.get("host") == name and one.get("state") == "start" and one["step"] in plan["steps"]
    ]
    assert began == plan["steps"]
    assert said[-1]["hosts"][0]["serves"] == plan["release"]
    assert get(module_host) == "two"
    await_sessions(module_host)
    running = module_host.sh("systemctl list-units --plain --no-legend 'cartwheel-shop.web*'")
    assert [one.split()[0] for one in running.splitlines()] == plan["differences"]["starts"]
    assert planned(project, module_host, "--exit-code", code=Exit.OK)["hosts"][0]["unchanged"]


def test_a_host_that_has_changed_in_between_makes_it_stale(
    project: Project, module_host: LabHost
) -> None:
    name = module_host.name
    change(project, "four")
    project.fab("plan", "-H", name, "--out", "x.plan")
    project.fab("rollback", "-H", name)
    refused = project.fab("deploy", "-H", name, "--plan", "x.plan", code=Exit.FAILED)
    assert "it serves " in refused.err
    assert get(module_host) == "one"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("{", "is no plan"),
        ('{"format": 1, "app": "shop", "hosts": {}}', "was made by another version of Cartwheel"),
        ('{"format": 2, "app": "other", "hosts": {}}', "is about other, not shop"),
    ],
)
def test_a_file_that_is_no_plan(
    project: Project, module_host: LabHost, text: str | None, says: str
) -> None:
    if text is not None:
        project.write("bad.plan", text)
    path = "none.plan" if text is None else "bad.plan"
    done = project.fab("deploy", "-H", module_host.name, "--plan", path, code=Exit.USAGE)
    assert "[CW110]" in done.err
    assert says in done.err
