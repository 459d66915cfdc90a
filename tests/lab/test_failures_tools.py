"""What the host's own tools can refuse: accounts, environments, installers, units."""

from __future__ import annotations

from pathlib import Path

import pytest
import uv

from cartwheel.errors import CATALOGUE, Exit
from cartwheel_lab import LabHost
from tests.kit.host import current, get
from tests.kit.project import Done, Project, new_project


@pytest.fixture(scope="module")
def project(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A host that serves "one"."""
    project = new_project(tmp_path_factory.mktemp("tools"))
    project.fab("setup", "-H", module_host.name)
    project.fab("deploy", "-H", module_host.name)
    return project


def assert_told(done: Done, slug: str, *words: str) -> None:
    problem = CATALOGUE[slug]
    [line] = [line for line in done.text.splitlines() if line.startswith("error: ")]
    assert line.endswith(f"[CW{problem.number}]")
    assert all(word in line for word in words), line
    assert "Traceback" not in done.err


def settings(project: Project, text: str) -> None:
    """Those of a further environment of the same application, with users of their own."""
    project.settings(text, "config/environments/other.toml")


def test_a_user_that_cannot_be_made(module_host: LabHost, project: Project) -> None:
    """CW406: a group of that name is there already."""
    settings(project, '[web]\nserver_names = ["other.example"]\n')
    module_host.sh("groupadd shop-other")
    try:
        done = project.fab("setup", "--env", "other", "-H", module_host.name, code=Exit.FAILED)
    finally:
        module_host.sh("groupdel shop-other")
    assert_told(done, "account", "useradd", "shop-other")
    # With that out of the way it goes on where it stopped, and all of it can go again.
    project.fab("setup", "--env", "other", "-H", module_host.name)
    project.fab("uninstall", "--env", "other", "-H", module_host.name, "--yes")


def test_an_interpreter_without_venv(module_host: LabHost, project: Project) -> None:
    """It looks well until it is to make an environment."""
    wrapper = module_host.path("/opt/python")
    wrapper.write_text(
        '#!/bin/sh\ncase "$*" in *--without-pip*) echo "no venv here" >&2; exit 1;; esac\n'
        'exec /usr/bin/python3 "$@"\n'
    )
    wrapper.chmod(0o755)
    before = current(module_host, "shop")
    text = (project.folder / "config/deploy.toml").read_text()
    project.settings(text.replace("[app]", '[app]\npython = "/opt/python"'))
    try:
        done = project.fab("deploy", "-H", module_host.name, code=Exit.FAILED)
    finally:
        project.settings(text)
    assert_told(done, "venv-failed", "no venv here")
    assert current(module_host, "shop") == before
    assert get(module_host) == "one"


@pytest.mark.nightly
def test_uv_of_the_hosts_own(module_host: LabHost, project: Project) -> None:
    """As on a host of an earlier version, which brought none: without one that is said, before
    anything is done; one that is there installs, if the app's user may run it."""
    text = (project.folder / "config/deploy.toml").read_text()
    project.settings(text.replace("[deploy]", '[deploy]\ninstaller = "uv"'))
    project.app("two")
    try:
        done = project.fab("deploy", "-H", module_host.name, code=Exit.FAILED)
        assert_told(done, "no-uv", "the host has no uv")
        assert get(module_host) == "one"
        program = module_host.path("/usr/local/bin/uv")
        program.write_bytes(Path(uv.find_uv_bin()).read_bytes())
        program.chmod(0o700)
        assert "the host has no uv" in project.fab("plan", "-H", module_host.name).out
        program.chmod(0o755)
        project.fab("deploy", "-H", module_host.name)
        assert get(module_host) == "two"
    finally:
        project.settings(text)


ASK_FOR_A_START = """
import sys
sys.path.insert(0, "/usr/local/lib/cartwheel/shop/current")
from cartwheel.host.system import systemd
from cartwheel.host.system.context import OpError
try:
    systemd.start(None, "cartwheel-shop.web.0.nothing.service")
except OpError as error:
    print(error.slug, error.log)
"""


def test_a_unit_that_systemd_does_not_start(module_host: LabHost, project: Project) -> None:
    """CW601: the installed host side reports a missing unit."""
    done = module_host.exec(["python3", "-I", "-c", ASK_FOR_A_START])
    said = done.stdout.decode()
    assert said.startswith("start-failed ")
    assert "not found" in said


NAMED = {"user": "there is no user shop", "group": "there is no group shop-http"}


@pytest.mark.nightly
@pytest.mark.parametrize("removed", NAMED)
def test_an_account_that_somebody_removed(
    module_host: LabHost, project: Project, removed: str
) -> None:
    """CW401, no traceback; setup makes it again, with the number that its files have."""
    before = module_host.sh("id shop")
    if removed == "user":  # userdel refuses while the app runs
        module_host.sh("sed -i /^shop:/d /etc/passwd /etc/shadow")
    else:
        module_host.sh("groupdel shop-http")
    project.app(f"after {removed}")
    done = project.fab("deploy", "-H", module_host.name, code=Exit.FAILED)
    assert_told(done, "not-set-up", NAMED[removed])
    project.fab("setup", "-H", module_host.name)
    assert module_host.sh("id shop") == before
    project.fab("deploy", "-H", module_host.name)
    assert get(module_host) == f"after {removed}"
