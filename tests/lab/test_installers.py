"""uv as the installer: `fab setup` brings it, releases are made with it, and no pip is needed."""

from __future__ import annotations

import pytest

from cartwheel.build.uv_wheel import UV_VERSION
from cartwheel.errors import CATALOGUE, Exit
from cartwheel_lab import LabHost
from tests.kit.host import current, footprint, get
from tests.kit.project import Project, new_project

LIB = "/usr/local/lib/cartwheel"
UV = f"{LIB}/.uv/{UV_VERSION}/uv"
MARK = f"[CW{CATALOGUE['no-uv'].number}]"


def uses(project: Project, installer: str) -> None:
    lines = (project.folder / "config/deploy.toml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("installer")]
    at = kept.index("[deploy]") + 1
    project.settings("\n".join([*kept[:at], f'installer = "{installer}"', *kept[at:]]) + "\n")


def shared(host: LabHost) -> set[str]:
    """What applications share, and the folders of theirs."""
    return set(host.sh(f"ls -A {LIB} 2>/dev/null || true").split())


@pytest.fixture(scope="module")
def shop(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A host that is set up for uv and serves "one"."""
    project = new_project(tmp_path_factory.mktemp("uv"))
    uses(project, "uv")
    done = project.fab("setup", "-H", module_host.name, "--json")
    assert f"uv {UV_VERSION}" in done.out
    assert "nothing to do" in project.fab("setup", "-H", module_host.name).text
    project.fab("deploy", "-H", module_host.name)
    return project


def test_a_release_without_any_pip(module_host: LabHost, shop: Project) -> None:
    host = module_host
    assert get(host) == "one"
    assert shared(host) == {".uv", "shop"}
    assert host.sh(f"ls -A {LIB}/.uv").split() == [UV_VERSION]
    assert not host.sh("find /srv/shop /usr/local -path '*site-packages/pip*'")
    found = host.sh("find /srv/shop/releases -type f -links +1")
    assert not found, "whoever has the cache could change a release"
    assert host.sh("stat -c '%U %a' /srv/shop/cache/pip/uv/..").split() == ["shop", "700"]
    kept = host.sh("find /srv/shop/cache/pip/uv")
    assert "gunicorn" in kept
    assert "shop" not in kept.replace("/srv/shop/", ""), "the next release brings its own"
    done = shop.fab("doctor", "-H", host.name)
    assert "mirror" in done.out
    assert "MB of downloads" in done.out


@pytest.mark.nightly
def test_a_change_of_code_leaves_nothing_in_the_cache(module_host: LabHost, shop: Project) -> None:
    before = footprint(module_host, "/srv/shop/cache/pip")
    shop.app("two")
    module_host.network(services=False)  # nor does it ask the index
    try:
        shop.fab("deploy", "-H", module_host.name)
    finally:
        module_host.network(services=True)
    assert get(module_host) == "two"
    assert footprint(module_host, "/srv/shop/cache/pip") == before
    shop.fab("rollback", "-H", module_host.name)
    assert get(module_host) == "one"
    done = shop.fab("prune", "--cache", "-H", module_host.name)
    assert "MB of downloads" in done.text
    assert module_host.sh("ls -A /srv/shop/cache/pip") == ""


@pytest.mark.nightly
def test_without_it_nothing_is_done(module_host: LabHost, shop: Project) -> None:
    """Until it is set up again; one of another version will do until then."""
    host, before = module_host, current(module_host, "shop")
    shop.app("three")
    host.sh(f"mv {LIB}/.uv /root/uv")
    try:
        assert "refused: deploy.installer is uv" in shop.fab("plan", "-H", host.name).out
        done = shop.fab("deploy", "-H", host.name, code=Exit.FAILED)
        assert MARK in done.text
        assert f"`fab setup -H {host.name}` installs it" in done.text
        done = shop.fab("doctor", "-H", host.name, code=None)
        assert done.code != 0
        assert f"fab setup -H {host.name}" in done.text
        assert (current(host, "shop"), get(host)) == (before, "one")
    finally:
        host.sh(f"mv /root/uv {LIB}/.uv")
    host.sh(f"mv {LIB}/.uv/{UV_VERSION} {LIB}/.uv/0.1.0")
    assert f"is not uv {UV_VERSION}" in shop.fab("doctor", "-H", host.name).out
    shop.fab("deploy", "-H", host.name)
    assert get(host) == "three"
    shop.fab("setup", "-H", host.name)
    assert set(host.sh(f"ls {LIB}/.uv").split()) == {"0.1.0", UV_VERSION}


@pytest.mark.nightly
def test_two_applications_with_different_installers(
    module_host: LabHost, shop: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What they share is there as long as one of them is, and one may change its own."""
    host = module_host
    named = '[web]\nserver_names = ["other.example"]\n'
    other = new_project(tmp_path_factory.mktemp("pip"), name="other", settings=named)
    other.app("pip's")
    other.fab("setup", "-H", host.name)
    other.fab("deploy", "-H", host.name)
    assert get(host, name="other.example") == "pip's"
    assert shared(host) == {".pip", ".uv", "shop", "other"}
    uses(other, "uv")  # which is on the host already
    other.app("uv's")
    other.fab("deploy", "-H", host.name)
    assert get(host, name="other.example") == "uv's"
    uses(shop, "pip")
    shop.app("four")
    shop.fab("deploy", "-H", host.name)
    assert get(host) == "four"
    shop.fab("uninstall", "-H", host.name, "--yes")
    assert shared(host) == {".pip", ".uv", "other"}
    other.app("uv's still")
    other.fab("deploy", "-H", host.name)
    other.fab("uninstall", "-H", host.name, "--yes")
    assert shared(host) == set()
