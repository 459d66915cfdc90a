"""What decides is where the app's interpreter really is, whatever link it is called by."""

from __future__ import annotations

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.host import current, get
from tests.kit.stage import Attempt, Stage

pytestmark = pytest.mark.timeout(600)

LINK = "/usr/local/bin/python3.11"
UV = "/root/.local/share/uv/python/cpython-3.11"
PYENV = "/home/ann/.pyenv/versions/3.11"


def says(attempt: Attempt) -> str:
    return attempt.out + attempt.err


def link_to(host: LabHost, python: str) -> None:
    host.sh(f"ln -sfn {python} {LINK}")


@pytest.fixture(scope="module")
def stage(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Two interpreters as uv and pyenv put them, for a project that asks for one by a link."""
    stage = Stage(module_host, tmp_path_factory.mktemp("interpreter"))
    stage.settings = {**stage.settings, "app": {**stage.settings["app"], "python": LINK}}
    stage.configure()
    stage.next_version()
    module_host.sh("mkdir -p /home/ann && chmod 755 /home /home/ann && chmod 700 /root")
    for folder in (UV, PYENV):
        module_host.sh(
            f"mkdir -p {folder}/bin {folder}/lib && cp /usr/bin/python3.11 {folder}/bin"
            f" && cp -r /usr/lib/python3.11 {folder}/lib"
        )
    return stage


def test_setup_refuses_what_the_app_cannot_reach_before_anything_is_done(stage: Stage) -> None:
    link_to(stage.host, f"{UV}/bin/python3.11")
    attempt = stage.fab("setup")
    where = "/root (mode 0700, of root) cannot be entered by shop"
    attempt.assert_told("python-reach", Exit.FAILED, [where, LINK])
    made = attempt.after.files - attempt.before.files
    assert {line.split()[0] for line in made} <= {"/run/cartwheel"}, "where its lock was"


@pytest.mark.nightly
def test_plan_deploy_and_doctor_refuse_it_too(stage: Stage) -> None:
    link_to(stage.host, "/usr/bin/python3.11")
    assert stage.fab("setup").code == 0
    assert stage.fab("deploy").code == 0
    link_to(stage.host, f"{UV}/bin/python3.11")
    where = "/root (mode 0700, of root) cannot be entered by shop"
    stage.attempt("deploy").assert_told("python-reach", Exit.FAILED, [where])
    assert f"refused: shop cannot run Python: {LINK}: {where}" in says(stage.fab("plan"))
    seen = stage.fab("doctor")
    assert seen.code == 1
    assert where in says(seen)


@pytest.mark.nightly
def test_what_serves_moved_into_a_home_that_its_unit_hides(stage: Stage) -> None:
    """The link is the same, and so is the version: the release would never start again."""
    before = current(stage.host, "shop")
    link_to(stage.host, f"{PYENV}/bin/python3.11")
    assert "which its unit hides" in says(stage.fab("status"))
    attempt = stage.attempt("deploy")
    assert attempt.code == 0, says(attempt)
    made = current(stage.host, "shop")
    assert made != before
    unit = stage.host.sh(f"cat /srv/shop/releases/{made}/web@.service")
    assert "ProtectHome=read-only" in unit
    stage.host.power_cut()
    stage.host.boot()
    assert get(stage.host) == f"v{stage.versions}"


@pytest.mark.nightly
def test_a_home_that_was_closed(stage: Stage) -> None:
    stage.host.sh("chmod 0700 /home/ann")
    where = "/home/ann (mode 0700, of root) cannot be entered by shop"
    assert where in says(stage.fab("status"))
    stage.attempt("deploy").assert_told("python-reach", Exit.FAILED, [where])
    stage.host.sh("chmod 0711 /home/ann")
    attempt = stage.attempt("deploy")
    assert (attempt.code, "unchanged" in says(attempt)) == (0, True), "it need not be listed"


@pytest.mark.nightly
def test_a_home_of_root_that_may_be_entered_will_do(stage: Stage) -> None:
    stage.host.sh("chmod 0711 /root && chmod -R a+rX /root/.local")
    link_to(stage.host, f"{UV}/bin/python3.11")
    stage.deploy_well()
    assert stage.fab("restart").code == 0


@pytest.mark.nightly
def test_a_place_that_the_unit_has_one_of_its_own_of(stage: Stage) -> None:
    stage.host.sh(f"cp -r {PYENV} /var/tmp/python && chmod -R a+rX /var/tmp/python")
    link_to(stage.host, "/var/tmp/python/bin/python3.11")
    attempt = stage.attempt("deploy")
    attempt.assert_told("python-reach", Exit.FAILED, ["is below /var/tmp"])
