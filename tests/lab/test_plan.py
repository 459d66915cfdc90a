"""`fab plan`: what it shows of a real host, that it changes nothing there, and that `fab deploy
--plan` does exactly that."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.host import await_sessions, current, get, instance_unit, journal, main_pids
from tests.kit.project import Project, new_project
from tests.kit.tiers import tiered

ENV = '[env]\nMODE = "{mode}"\n[secrets]\nKEY = {{ file = "key" }}\n'
UNITS = "systemctl list-units --all --plain --no-legend | awk '{print $1, $3, $4}' | sort"
PROCESSES = "ps -e -o comm= | grep -vx 'ps\\|sort\\|sh\\|grep\\|kworker.*' | sort"
SITE = "/etc/nginx/conf.d/cartwheel-shop.conf"
RELEASE = re.compile(r"\b0\.0\.0\.g[0-9a-f]{12}\.[0-9a-f]{8}\b")
TIMES = re.compile(r"\d+\.\d s")


# What a person writes or reads of a deploy; boot unit and log rotation came with the set-up.
READ = ("gunicorn.conf.py", "maintenance.html", "maintenance.zh.html", "web@.service", SITE)


@pytest.fixture(scope="module")
def served(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """One release serves; the next one would differ in everything that a plan shows. The plan of
    the first one."""
    project = new_project(tmp_path_factory.mktemp("shop"), settings=ENV.format(mode="one"))
    project.write("key", "hunter2")
    project.fab("setup", "-H", module_host.name)
    first = project.fab("plan", "-H", module_host.name).out
    project.fab("deploy", "-H", module_host.name)
    change(project, "two")
    return project, first


@pytest.fixture(scope="module")
def project(served: tuple[Project, str]) -> Project:
    return served[0]


def change(
    project: Project, text: str, key: str = "hunter3", more: str = "", body_size: str = "11m"
) -> None:
    """Another code, package, variable, secret, and another file of nginx's."""
    project.app(text)
    project.write("app/requirements.txt", "six\n")
    project.write("key", key)
    deploy = (project.folder / "config/deploy.toml").read_text()
    body = deploy.partition("[env]")[0].partition("[web]")[0]
    web = f'[web]\nclient_max_body_size = "{body_size}"\n{more}'
    project.settings(f'{body}{web}{ENV.format(mode="two")}NEW = {{ file = "key" }}\n')


def lines(project: Project, host: LabHost) -> list[str]:
    """The plan without the host's name."""
    text = project.fab("plan", "-H", host.name).out
    return [line.removeprefix(f"[{host.name}]").strip() for line in text.splitlines()]


def planned(project: Project, host: LabHost, *words: str, code: int = 0) -> dict[str, Any]:
    done = project.fab("plan", "-H", host.name, *words, "--json", code=code)
    result: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    return result


def test_a_first_deploy_is_short(served: tuple[Project, str], module_host: LabHost) -> None:
    text = served[1]
    name = module_host.name
    for line in (
        f"[{name}] nothing -> 0.0.0.g",
        f"[{name}]   packages: ",
        f"[{name}]   variables: KEY, MODE\n",
        f"[{name}]   steps: host side, ",
        *(f"[{name}]   new file {path}, " for path in READ),
        f"[{name}]   removes /etc/nginx/sites-enabled/default, ",
    ):
        assert line in text, f"{line}\n{text}"
    assert len(text.splitlines()) == 7 + len(READ), text
    assert "sha256" not in text


def test_it_shows_all_that_would_be_different(project: Project, module_host: LabHost) -> None:
    text = project.fab("plan", "-H", module_host.name).out
    name = module_host.name
    for line in (
        "package + six ",
        "package ~ shop 0.0.0+g",
        "setting + web.client_max_body_size",
        "variable + NEW",
        "variable ~ KEY",
        "variable ~ MODE",
        "starts cartwheel-shop.web.0.0.0.g",
        f"stops {instance_unit(module_host, 'shop')}",
        "--- /etc/nginx/conf.d/cartwheel-shop.conf",
        "-    client_max_body_size 10m;",
        "+    client_max_body_size 11m;",
        "note: nginx is reloaded",
    ):
        assert f"[{name}]   {line}" in text, f"{line}\n{text}"
    assert re.search(r"the last deploy took \d+\.\d s", text)
    assert "hunter" not in text
    assert "variable ~ NEW" not in text
    assert "sha256" not in text
    assert set(re.findall(r"^\[\w+\]   --- (.*)$", text, re.MULTILINE)) == {SITE}


def test_an_own_template_shows_as_what_becomes_of_it(
    project: Project, module_host: LabHost
) -> None:
    project.fab("templates.eject", "gunicorn.conf.py.j2")
    path = project.folder / "templates/gunicorn.conf.py.j2"
    path.write_text(path.read_text() + "# ours\n")
    said = lines(project, module_host)
    path.unlink()
    assert "--- gunicorn.conf.py" in said
    assert "+# ours" in said
    assert not [line for line in said if line.startswith("-") and not line.startswith("---")][1:]


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
    assert planned(project, module_host, "--exit-code", code=Exit.CHANGES)["batches"] == [
        [module_host.name]
    ]
    assert planned(project, module_host)["exit"] == 0


STALE: dict[str, tuple[dict[str, str], str]] = {
    "code": ({"text": "three"}, "the release would be "),
    "secret": ({"text": "two", "key": "hunter4"}, "the release would be "),
    "site": ({"text": "two", "more": "listen = 81\n"}, "switch would be different"),
}


@pytest.mark.parametrize("what", tiered(STALE, nightly={"secret", "site"}))
def test_a_plan_is_stale_where_anything_has_changed(
    project: Project, module_host: LabHost, what: str
) -> None:
    changed, says = STALE[what]
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
    plan = planned(project, module_host, "--out", "app/x.plan")["hosts"][0]
    done = project.fab("deploy", "-H", name, "--plan", "app/x.plan", "--json", "--message", "later")
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
    assert list(main_pids(module_host, "shop")) == plan["differences"]["starts"]
    assert planned(project, module_host, "--exit-code", code=Exit.OK)["hosts"][0]["unchanged"]
    assert lines(project, module_host) == [f"{plan['release']}: nothing to do"]


def test_a_setting_of_the_site_alone(project: Project, module_host: LabHost) -> None:
    """It makes no new release; from then on it is no difference any more."""
    change(project, "two", body_size="12m")
    said = lines(project, module_host)
    assert said[0] == f"{current(module_host, 'shop')}: started again"
    assert said[1] == "setting ~ web.client_max_body_size"
    assert "steps: host side, test site, switch" in said
    project.fab("deploy", "-H", module_host.name)
    change(project, "three", body_size="12m")
    said = lines(project, module_host)
    assert [line.split()[0] for line in said[1:5]] == ["package", "starts", "stops", "steps:"]
    assert not [line for line in said if line.startswith(("---", "+++"))], said


@pytest.mark.nightly
def test_a_host_that_has_changed_in_between_makes_it_stale(
    project: Project, module_host: LabHost
) -> None:
    name = module_host.name
    change(project, "four")
    project.fab("plan", "-H", name, "--out", "x.plan")
    project.fab("rollback", "-H", name)
    refused = project.fab("deploy", "-H", name, "--plan", "x.plan", code=Exit.FAILED)
    assert " is live, and was " in refused.err
    assert get(module_host) == "one"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("{", "is not a plan"),
        ('{"format": 1, "app": "shop", "hosts": {}}', "was made by another version of Cartwheel"),
        ('{"format": 2, "app": "other", "hosts": {}}', "is a plan for other, not for shop"),
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
