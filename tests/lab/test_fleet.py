"""Two hosts, one deploy: prepared everywhere before either switches, and all or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.host import current, get, journal, main_pids, releases
from tests.kit.project import Project, new_project
from tests.kit.tiers import tiered

# Unhealthy on a host where its data folder says so; cannot be imported where it says that.
APP = """
import os
import time

if os.path.exists("unimportable"):
    raise RuntimeError("this host cannot import it")
if os.path.exists("slow"):
    time.sleep(30)


def app(environ, start_response):
    sick = os.path.exists("sick")
    start_response("500 Sick" if sick else "200 OK", [("Content-Type", "text/plain")])
    return [b"{text}"]
"""


@pytest.fixture(scope="module")
def project(pair: list[LabHost], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Both hosts serve "one"."""
    project = new_project(
        tmp_path_factory.mktemp("fleet"), settings="[health]\ndeadline_seconds = 5\n"
    )
    version(project, "one")
    names = ",".join(host.name for host in pair)
    project.fab("setup", "-H", names)
    project.fab("deploy", "-H", names)
    return project


def version(project: Project, text: str) -> None:
    project.write("app/app.py", APP.replace("{text}", text))


def deploy(project: Project, pair: list[LabHost], code: Exit) -> str:
    return project.fab("deploy", "-H", ",".join(host.name for host in pair), code=code).text


def mark(host: LabHost, name: str) -> Path:
    return host.path(f"/srv/shop/shared/{name}")


def test_both_hosts_serve_the_same_release(project: Project, pair: list[LabHost]) -> None:
    version(project, "two")
    deploy(project, pair, Exit.OK)
    assert [get(host) for host in pair] == ["two", "two"]
    assert len({current(host, "shop") for host in pair}) == 1


@pytest.mark.nightly
def test_one_host_that_cannot_prepare_keeps_both_as_they_were(
    project: Project, pair: list[LabHost]
) -> None:
    before = [(current(host, "shop"), main_pids(host, "shop")) for host in pair]
    mark(pair[1], "unimportable").touch()
    version(project, "three")
    try:
        text = deploy(project, pair, Exit.FAILED)
    finally:
        mark(pair[1], "unimportable").unlink()
    assert "CW507" in text
    assert "this host cannot import it" in text
    assert [(current(host, "shop"), main_pids(host, "shop")) for host in pair] == before
    # Nothing of it stays on either host but its line in the journal.
    for host in pair:
        assert journal(host, "shop")[-1]["result"] == "failed"
        assert journal(host, "shop")[-1]["release"] not in releases(host, "shop")


@pytest.mark.parametrize("sick", tiered([0, 1], nightly={1}))
def test_one_sick_host_puts_both_back(project: Project, pair: list[LabHost], sick: int) -> None:
    """Whichever it is: the first, before the other has switched, or the second, after it."""
    before = [(current(host, "shop"), get(host)) for host in pair]
    # The old release turns sick too, but it is not asked: what serves stays.
    version(project, f"sick on {sick}")
    mark(pair[sick], "sick").touch()
    try:
        text = deploy(project, pair, Exit.FAILED if sick == 0 else Exit.REVERTED)
    finally:
        mark(pair[sick], "sick").unlink()
    assert "CW602" in text
    assert [(current(host, "shop"), get(host)) for host in pair] == before
    for host in pair:
        assert len(main_pids(host, "shop")) == 1
        assert journal(host, "shop")[-1]["result"] in ("failed", "reverted")
        assert journal(host, "shop")[-1]["release"] not in releases(host, "shop")


@pytest.mark.nightly
def test_the_next_deploy_just_works(project: Project, pair: list[LabHost]) -> None:
    version(project, "four")
    deploy(project, pair, Exit.OK)
    assert [get(host) for host in pair] == ["four", "four"]


@pytest.mark.nightly
def test_a_rollback_takes_both_back(project: Project, pair: list[LabHost]) -> None:
    project.fab("rollback", "-H", ",".join(host.name for host in pair))
    assert [get(host) for host in pair] == ["two", "two"]


@pytest.mark.nightly
def test_a_host_named_twice_is_deployed_once(project: Project, pair: list[LabHost]) -> None:
    version(project, "five")
    name = pair[0].name
    before = len(journal(pair[0], "shop"))
    project.fab("deploy", "-H", f"{name}, {name},{name}")
    assert len(journal(pair[0], "shop")) == before + 1
