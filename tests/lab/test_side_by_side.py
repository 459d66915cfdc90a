"""Applications and environments on one host do not meet, also where a name begins another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import current, get, main_pids, marks, releases, status, touched
from tests.kit.project import QUICK, Project, new_project
from tests.kit.tiers import is_nightly, tiered


@dataclass(frozen=True)
class Site:
    """One application in one environment. `words` choose it, `slug` is its name on the host."""

    slug: str
    name: str
    folder: str
    words: tuple[str, ...]


SHOP = Site("shop", "shop.test", "shop-app", ("--app", "shop"))
ADMIN = Site("shop-admin", "admin.test", "admin-app", ("--app", "shop-admin"))
STAGING = Site(
    "shop.staging", "staging.shop.test", "shop-app", ("--app", "shop", "--env", "staging")
)
SITES = (SHOP, ADMIN, STAGING)


@pytest.fixture(scope="module")
def project(
    request: pytest.FixtureRequest, module_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """Three sites on one host; in the nightly run the one that is rolled back has two releases."""
    made = new_project(tmp_path_factory.mktemp("sites"))
    made.settings(QUICK)
    for site in (SHOP, ADMIN):
        made.settings(
            f'[app]\nsource = "{site.folder}"\nentry = "app:app"\n'
            f'[web]\nserver_names = ["{site.name}"]\n',
            f"config/apps/{site.slug}.toml",
        )
    made.settings(
        f'[web]\nserver_names = ["{STAGING.name}"]\n[env]\nWHERE = "staging"\n',
        "config/environments/staging.toml",
    )
    for site in SITES:
        made.app(f"old {site.slug}", site.folder)
        made.fab("setup", *site.words, "-H", module_host.name)
        if site is SHOP and is_nightly(request):
            made.fab("deploy", *site.words, "-H", module_host.name)
        made.app(f"new {site.slug}", site.folder)
        made.fab("deploy", *site.words, "-H", module_host.name)
    yield made
    module_host.reset()


def state(host: LabHost, site: Site) -> dict[str, Any]:
    """Everything of one site on the host."""
    files = marks(
        host,
        f"/srv/{site.slug}",
        f"/usr/local/lib/cartwheel/{site.slug}",
        f"/var/lib/cartwheel/{site.slug}.json",
        f"/var/log/cartwheel/{site.slug}",
        f"/etc/nginx/conf.d/cartwheel-{site.slug}.conf",
        f"/etc/logrotate.d/cartwheel-{site.slug}.conf",
        f"/etc/systemd/system/cartwheel-{site.slug}.service",
        f"/run/cartwheel/{site.slug}",
        f"/etc/systemd/system/cartwheel-{site.slug}.web.{current(host, site.slug)}@.service",
    )
    owner = site.slug.replace(".", "-")
    return {
        "files": files,
        "units": main_pids(host, site.slug),
        "workers": host.sh(f"pgrep -u {owner}").split(),
        "accounts": host.sh(f"getent passwd {owner}; getent group {owner} {owner}-http"),
        "answer": get(host, name=site.name),
    }


def assert_untouched(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert touched(before.pop("files"), after.pop("files")) == set()
    assert before == after


def test_each_answers_to_its_own_name(project: Project, module_host: LabHost) -> None:
    for site in SITES:
        assert get(module_host, name=site.name) == f"new {site.slug}"
    assert get(module_host, "/env/WHERE", STAGING.name) == '"staging"'
    assert get(module_host, "/env/WHERE", SHOP.name) == "null"
    assert "Welcome to nginx" in get(module_host, name="nobody.test")
    # So the lab's address alone shows none of them.
    told = project.fab("lab.url", "-H", module_host.name).out
    for site in SITES:
        assert f"--resolve {site.name}:80:{module_host.address} http://{site.name}:80/" in told


def test_the_project_must_choose_among_several(project: Project, module_host: LabHost) -> None:
    told = project.fab("status", "-H", module_host.name, code=2)
    assert "there are several apps (shop, shop-admin)" in told.err
    told = project.fab("status", "--app", "shopp", "-H", module_host.name, code=2)
    assert "Did you mean shop?" in told.err


def test_logs_are_of_one_site_only(project: Project, module_host: LabHost) -> None:
    for site in SITES:
        get(module_host, f"/env/ASKED_{site.slug}".replace("-", "_"), site.name)
    told = project.fab("logs", *SHOP.words, "--lines", "500", "-H", module_host.name).out
    assert "/env/ASKED_shop " in told
    assert "ASKED_shop_admin" not in told
    assert "ASKED_shop.staging" not in told
    assert "unix:/run/cartwheel/shop/" in told
    assert "cartwheel/shop.staging" not in told
    assert "cartwheel/shop-admin" not in told


def stop(project: Project, host: LabHost) -> None:
    project.fab("stop", *SHOP.words, "-H", host.name)
    assert status(host, name=SHOP.name) in (502, 503)


def start(project: Project, host: LabHost) -> None:
    project.fab("start", *SHOP.words, "-H", host.name)
    assert get(host, name=SHOP.name) == "old shop"


def deploy(project: Project, host: LabHost) -> None:
    project.app("newest shop", SHOP.folder)
    project.fab("deploy", *SHOP.words, "-H", host.name)
    assert get(host, name=SHOP.name) == "newest shop"


def roll_back(project: Project, host: LabHost) -> None:
    project.fab("rollback", *SHOP.words, "-H", host.name)
    assert get(host, name=SHOP.name) == "old shop"


def prune(project: Project, host: LabHost) -> None:
    project.fab("prune", *SHOP.words, "--keep", "1", "-H", host.name)
    assert len(releases(host, SHOP.slug)) <= 2


def restart(project: Project, host: LabHost) -> None:
    before = current(host, SHOP.slug)
    project.fab("restart", *SHOP.words, "-H", host.name)
    assert current(host, SHOP.slug) == before


def uninstall(project: Project, host: LabHost) -> None:
    project.fab("uninstall", "--yes", *SHOP.words, "-H", host.name)
    assert host.exec(["test", "-e", "/srv/shop"]).returncode == 1
    assert "Welcome to nginx" in get(host, name=SHOP.name)


@pytest.mark.parametrize(
    "act",
    tiered(
        [roll_back, stop, start, restart, deploy, prune, uninstall],
        nightly={roll_back, stop, start, restart, prune},
    ),
)
def test_what_is_done_to_one_touches_no_other(
    project: Project, module_host: LabHost, act: Callable[[Project, LabHost], None]
) -> None:
    before = {site: state(module_host, site) for site in (ADMIN, STAGING)}
    act(project, module_host)
    for site, was in before.items():
        assert_untouched(was, state(module_host, site))


@pytest.mark.nightly
def test_those_that_stay_live_on(project: Project, module_host: LabHost) -> None:
    """After `shop` is gone: deploys and a boot still work for the others."""
    was = state(module_host, ADMIN)
    project.fab("uninstall", "--yes", *STAGING.words, "-H", module_host.name)
    assert_untouched(was, state(module_host, ADMIN))
    project.app("last", ADMIN.folder)
    project.fab("deploy", *ADMIN.words, "-H", module_host.name)
    module_host.power_cut()
    module_host.boot()
    until = time.monotonic() + 20
    while not _answers(module_host, ADMIN.name, "last"):
        assert time.monotonic() < until, "it does not serve after a boot"
        time.sleep(0.1)


def _answers(host: LabHost, name: str, text: str) -> bool:
    try:
        return get(host, name=name) == text
    except OSError:
        return False


@pytest.mark.nightly
def test_a_second_application_without_a_name_is_refused(
    project: Project, module_host: LabHost, tmp_path: Path
) -> None:
    first = new_project(tmp_path / "a", name="first")
    second = new_project(tmp_path / "b", name="second")
    for one in (first, second):
        one.fab("setup", "-H", module_host.name)
    first.fab("deploy", "-H", module_host.name)
    refused = second.fab("deploy", "-H", module_host.name, code=1)
    assert "CW512" in refused.text
    assert "cartwheel-first.conf" in refused.text
    assert get(module_host, name="any.test") == "one"
    assert get(module_host, name=ADMIN.name) == "last"
