"""A release that has lost what it needs to run never counts as serving well: the next deploy makes
it anew beside it, nobody goes back to it, and after a reboot the site serves."""

from __future__ import annotations

import json

import pytest

from cartwheel.errors import Exit
from cartwheel.host.layout import content_of
from cartwheel_lab import LabHost
from tests.kit.host import current, get, main_pids, releases
from tests.kit.stage import Attempt, Stage
from tests.kit.tiers import tiered

pytestmark = pytest.mark.timeout(600)

SITE = "venv/lib/python3*/site-packages"


@pytest.fixture(scope="module")
def stage(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A host that serves, with a variable."""
    stage = Stage(module_host, tmp_path_factory.mktemp("whole"))
    stage.settings = {**stage.settings, "env": {"GREETING": "hello"}}
    stage.next_version()
    stage.configure()
    assert stage.fab("setup").code == 0
    assert stage.fab("deploy").code == 0
    return stage


def says(attempt: Attempt) -> str:
    return attempt.out + attempt.err


def break_(stage: Stage, how: str) -> str:
    """Do something in the folder of the release that serves; its name."""
    name = current(stage.host, "shop")
    stage.host.sh(f"cd /srv/shop/releases/{name} && {how} && sync")
    return name


def made_anew(stage: Stage, broken: str) -> str:
    """A plain deploy, while somebody visits, makes the release anew; what it says."""
    attempt = stage.attempt("deploy")
    assert attempt.code == 0, says(attempt)
    made = current(stage.host, "shop")
    assert made != broken
    manifest = json.loads(stage.host.sh(f"cat /srv/shop/releases/{made}/release.json"))
    assert manifest["content"] == content_of(made) == content_of(broken)
    assert [unit for unit in main_pids(stage.host, "shop") if f".{made}@" in unit]
    return says(attempt)


def test_status_says_so_and_the_next_deploy_heals_it(stage: Stage) -> None:
    broken = break_(stage, "rm -r venv")
    assert "damaged: venv is missing" in says(stage.fab("status"))
    assert f"{broken} is damaged (venv is missing)" in made_anew(stage, broken)
    again = stage.fab("deploy")
    assert (again.code, "unchanged" in says(again)) == (0, True)
    assert "damaged" not in says(stage.fab("status"))


# What somebody, or something, did to the release that serves; what the deploy says of it.
BROKEN = {
    "interpreter link": (
        "ln -sfn /usr/bin/python3.4 venv/bin/python",
        "its interpreter /usr/bin/python3.4 is not there",
    ),
    "gunicorn": ("rm venv/bin/gunicorn", "venv/bin/gunicorn is missing"),
    "the app's module": (f"rm {SITE}/app.py", "app.py is missing"),
    "a file of a package": (f"rm {SITE}/gunicorn/arbiter.py", "gunicorn/arbiter.py is missing"),
    "half of the packages": (f"rm -r {SITE}/[g-p]*", "is missing"),
    "emptied variables": (": > env", "env lacks GREETING"),
    "units": ("rm *.service", ".service is missing"),
    "permissions": ("chmod 0700 venv", "venv (mode 0700, of root) cannot be entered by shop"),
}


# Each finding by itself: tests/unit/host/test_whole.py.
@pytest.mark.parametrize(
    "kind",
    tiered(BROKEN, nightly=BROKEN.keys() - {"a file of a package"}),
)
def test_what_is_not_whole_is_made_anew_while_it_serves(stage: Stage, kind: str) -> None:
    how, what = BROKEN[kind]
    assert what in made_anew(stage, break_(stage, how))


LOST = {
    "environment": "rm -r venv",
    "folder": "rm -r $PWD",
    "unit files": "rm -r venv *.service /etc/systemd/system/cartwheel-shop.web*.service",
    "manifest": ": > release.json",
    "backup": "tar cf /root/b.tar --exclude=./venv . && rm -r $PWD/* && tar xf /root/b.tar",
    "dangling link": "rm ../../current && ln -s releases/1.0.nothing ../../current",
}


@pytest.mark.parametrize("what", tiered(LOST, nightly=LOST.keys() - {"backup"}))
def test_a_host_that_was_booted_without_it_takes_the_next_deploy(stage: Stage, what: str) -> None:
    """It is down for as long as nobody deploys, and not for ever."""
    break_(stage, LOST[what])
    stage.host.power_cut()
    stage.host.boot()
    attempt = stage.fab("deploy")
    assert attempt.code == 0, says(attempt)
    assert "Traceback" not in says(attempt)
    assert get(stage.host) == f"v{stage.versions}"


@pytest.mark.nightly
def test_nobody_goes_back_to_what_is_not_whole(stage: Stage) -> None:
    oldest = stage.deploy_well()
    stage.deploy_well()
    broken = current(stage.host, "shop")
    stage.deploy_well()
    stage.host.sh(f"rm -r /srv/shop/releases/{broken}/venv")
    assert "damaged: venv is missing" in says(stage.fab("releases"))
    named = stage.attempt("rollback", "--to", broken)
    named.assert_told("not-whole", Exit.FAILED, [broken, "venv is missing"])
    assert stage.fab("rollback").code == 0
    assert stage.body() == oldest, "one further back"


@pytest.mark.nightly
def test_without_anything_whole_behind_it_there_is_no_way_back(stage: Stage) -> None:
    """And what serves is not restarted where it could not start."""
    for name in releases(stage.host, "shop"):
        stage.host.sh(f"rm -rf /srv/shop/releases/{name}/venv")
    attempt = stage.attempt("rollback")
    attempt.assert_told("no-rollback", Exit.FAILED, ["no earlier good release", "is damaged"])
    attempt = stage.attempt("restart")
    attempt.assert_told("not-whole", Exit.FAILED, ["venv is missing"])


@pytest.mark.nightly
def test_a_deploy_that_fails_leaves_what_is_not_whole_and_runs(stage: Stage) -> None:
    """It is in memory, and goes on serving (still without its environment)."""
    stage.app("def app(environ, start_response):\n    raise SystemExit(7)\n")
    assert stage.attempt("deploy").code != 0
    stage.deploy_well()


@pytest.mark.nightly
def test_damage_inside_a_package_is_the_doctors(stage: Stage) -> None:
    """Other bytes in a file are found by a look at every file; then deploys know."""
    broken = break_(stage, f"for file in {SITE}/gunicorn/config.py; do echo >> $file; done")
    seen = stage.fab("doctor")
    assert seen.code == 1
    assert "gunicorn/config.py has" in says(seen)
    assert "fab doctor --fix" in says(seen)
    assert f"marked {broken}" in says(stage.fab("doctor", "--fix"))
    made_anew(stage, broken)
    assert f"release {current(stage.host, 'shop')}  complete" in says(stage.fab("doctor"))


@pytest.mark.nightly
def test_packages_are_not_taken_over_from_what_has_lost_a_file(stage: Stage) -> None:
    """Deep inside, where a glance does not see it."""
    break_(stage, f"rm {SITE}/gunicorn/workers/sync.py")
    stage.deploy_well()
    break_(stage, f"test -s {SITE}/gunicorn/workers/sync.py")


@pytest.mark.nightly
def test_an_interpreter_that_was_replaced(stage: Stage) -> None:
    """A link of the host's own, which leads to something else all of a sudden."""
    stage.host.sh("mkdir -p /opt/python && ln -sfn /usr/bin/python3 /opt/python/python")
    stage.configure(app={"python": "/opt/python/python"})
    assert stage.fab("deploy").code == 0
    serving = current(stage.host, "shop")
    stage.host.sh("cp /bin/true /opt/python3.4; ln -sfn /opt/python3.4 /opt/python/python")
    assert "its interpreter /opt/python3.4 is not the python3" in says(stage.fab("status"))
    attempt = stage.attempt("deploy")
    attempt.assert_told("python-version", Exit.FAILED, ["/opt/python/python", "does not run"])
    stage.host.sh("ln -sfn /usr/bin/python3 /opt/python/python")
    assert "unchanged" in says(stage.fab("deploy"))
    assert current(stage.host, "shop") == serving
