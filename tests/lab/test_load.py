"""P1: what visitors notice of a deploy, a rollback and a restart under load: nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import await_sessions, current, instance_unit, journal, main_pids
from tests.kit.shop import Shop, new_shop
from tests.kit.visitors import KINDS, loaded

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def shop(
    module_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LabHost, Shop]]:
    """A host that serves a first release."""
    shop = new_shop(tmp_path_factory.mktemp("shop"))
    shop.project.fab("setup", "-H", module_host.name)
    shop.project.fab("deploy", "-H", module_host.name)
    yield module_host, shop


def assert_settled(host: LabHost) -> None:
    """One instance runs, the way the links say; no session is left."""
    assert list(main_pids(host, "shop")) == [instance_unit(host, "shop")]
    assert host.sh("test ! -e /srv/shop/pending.json && readlink /srv/shop/fallback") == (
        f"releases/{current(host, 'shop')}\n"
    )
    await_sessions(host)


def test_visitors_by_hand(shop: tuple[LabHost, Shop]) -> None:
    """`fab lab.load` counts, and tells a release that should not answer."""
    host, project = shop
    words = ("lab.load", "-H", host.name, "--seconds", "1.5", "--all-kinds", "--releases")
    good = project.project.fab(*words, f"mark{project.marks}").out
    rows = {line.split()[1]: line.split()[2:] for line in good.splitlines() if "0." in line}
    assert set(rows) == set(KINDS)
    assert all(int(sent) > 0 and failed == "0" for sent, failed, *_ in rows.values()), good
    bad = project.project.fab(*words, "mark0", code=1).out
    assert f"release mark{project.marks} must not answer" in bad


@pytest.mark.smoke
def test_a_deploy_of_new_code(shop: tuple[LabHost, Shop]) -> None:
    host, project = shop
    old, new = f"mark{project.marks}", project.code()
    with loaded(host) as load:
        project.project.fab("deploy", "-H", host.name)
    load.assert_nobody_noticed()
    assert set(load.result["releases"]) == {old, new}
    assert_settled(host)


@pytest.mark.nightly
def test_a_deploy_of_new_settings(shop: tuple[LabHost, Shop]) -> None:
    host, project = shop
    mark = f"mark{project.marks}"
    project.settings('SUFFIX = "+settings"')
    with loaded(host) as load:
        project.project.fab("deploy", "-H", host.name)
    load.assert_nobody_noticed()
    assert set(load.result["releases"]) == {mark, mark + "+settings"}
    assert_settled(host)


@pytest.mark.smoke
def test_a_rollback(shop: tuple[LabHost, Shop]) -> None:
    host, project = shop
    before = current(host, "shop")
    with loaded(host) as load:
        project.project.fab("rollback", "-H", host.name)
    load.assert_nobody_noticed()
    assert len(load.result["releases"]) == 2
    assert current(host, "shop") != before
    assert_settled(host)


def test_a_restart(shop: tuple[LabHost, Shop]) -> None:
    """The same release, other processes."""
    host, project = shop
    with loaded(host) as load:
        project.project.fab("restart", "-H", host.name)
    load.assert_nobody_noticed()
    assert len(load.result["releases"]) == 1
    assert len(load.result["processes"]) > 2  # more than one instance's two workers
    assert_settled(host)


@pytest.mark.nightly
def test_an_unhealthy_release(shop: tuple[LabHost, Shop]) -> None:
    """P2: it gets no traffic at all."""
    host, project = shop
    before = current(host, "shop")
    pids = main_pids(host, "shop")
    mark = project.code()
    project.settings('HEALTH = "500"')
    try:
        with loaded(host) as load:
            done = project.project.fab("deploy", "-H", host.name, code=1)
    finally:
        project.settings()
    assert "answered 500" in done.text
    load.assert_nobody_noticed()
    assert mark not in load.result["releases"]
    assert current(host, "shop") == before
    assert main_pids(host, "shop") == pids
    assert_settled(host)


@pytest.mark.nightly
def test_ten_switches_in_a_row(shop: tuple[LabHost, Shop]) -> None:
    host, project = shop
    project.code()
    project.project.fab("deploy", "-H", host.name)
    new = current(host, "shop")
    project.project.fab("rollback", "-H", host.name)
    names = [new, current(host, "shop")]
    before = len(journal(host, "shop"))
    with loaded(host) as load:
        for number in range(10):
            project.project.fab("rollback", "--to", names[number % 2], "-H", host.name)
    load.assert_nobody_noticed()
    results = [entry["result"] for entry in journal(host, "shop")[before:]]
    assert results == ["confirmed"] * 10
    assert_settled(host)
