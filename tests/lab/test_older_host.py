"""A host that an earlier version set up and deployed to goes on with this one (older/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import current, get, releases
from tests.kit.project import Project, new_project
from tests.kit.waiting import until

ARCHIVE = Path(__file__).parent / "older" / "host.tar.xz"
ONE, TWO, THREE, FOUR = (
    "0.0.0.gf8aa2b50b35c.30aa6eca",
    "0.0.0.gf8977dae0f32.36b3a002",
    "0.0.0.g8c11b66d2e0a.0b031784",
    "0.0.0.g8f01ec57ebc9.4c724599",
)

# What its setup did beside making files: packages, accounts with the numbers that its files have.
PREPARE = """
apt-get -q update >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install \
    nginx iproute2 ca-certificates python3-venv xz-utils >/dev/null
rm -f /etc/nginx/sites-enabled/default
groupadd -g 997 shop
groupadd -g 996 shop-http
useradd -u 999 -g shop -d /srv/shop/shared -M -s /usr/sbin/nologin shop
usermod -aG shop-http shop
usermod -aG shop-http www-data
tar -C / -xJf /root/older.tar.xz --exclude=etc/passwd --exclude=etc/group \
    --exclude=etc/shadow --exclude=etc/gshadow
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return new_project(tmp_path)


@pytest.fixture
def older(host: LabHost) -> LabHost:
    """As after a power cut in the midst of its fourth deploy, before anything has started."""
    host.path("/root/older.tar.xz").write_bytes(ARCHIVE.read_bytes())
    host.sh(PREPARE, timeout=300)
    return host


def test_the_host_puts_itself_in_order_and_goes_on(older: LabHost, project: Project) -> None:
    """Power cut and boot; status, plan, rollback, deploy; once more; uninstall."""
    older.power_cut()
    older.boot()
    until(lambda: get(older) == "three", 60)
    assert current(older, "shop") == THREE
    assert not older.path("/srv/shop/pending.json").exists()
    status = project.fab("status", "-H", older.name)
    assert THREE in status.out
    assert "healthy" in status.out
    project.app("five")
    plan = project.fab("plan", "-H", older.name)
    assert THREE in plan.out
    project.fab("rollback", "-H", older.name)
    assert (current(older, "shop"), get(older)) == (TWO, "two")
    project.fab("deploy", "-H", older.name)
    assert get(older) == "five"
    assert TWO in releases(older, "shop")
    older.power_cut()
    older.boot()
    until(lambda: get(older) == "five", 60)
    project.fab("doctor", "-H", older.name, code=None)
    project.fab("rollback", "-H", older.name)
    assert get(older) == "two"
    history = project.fab("history", "-H", older.name).out
    assert "text three" in history
    project.fab("uninstall", "-H", older.name, "--yes")
    left = older.sh("find / -xdev -path /proc -prune -o -name '*cartwheel*' -print; ls /srv")
    assert left == "/root/cartwheel\n" or not left.strip(), left


def test_the_next_deploy_finds_the_pending_switch(older: LabHost, project: Project) -> None:
    """Without a boot: nothing of it runs, and the switch is not confirmed."""
    older.sh("systemctl daemon-reload; systemctl restart nginx")
    status = project.fab("status", "-H", older.name, code=1)
    assert f"the switch to {FOUR} is not confirmed" in status.text
    project.app("five")
    project.fab("deploy", "-H", older.name)
    assert get(older) == "five"
    assert not older.path("/srv/shop/pending.json").exists()
    project.fab("rollback", "-H", older.name)
    assert (current(older, "shop"), get(older)) == (THREE, "three")


@pytest.mark.nightly
def test_a_cache_that_somebody_cleared_is_made_anew(host: LabHost, project: Project) -> None:
    """People make room on a full disk; what they take is only kept, never needed."""
    project.fab("setup", "-H", host.name)
    for text, cleared in (("one", "pip"), ("two", "wheels"), ("three", "*"), ("four", "")):
        project.app(text)
        host.sh(f"rm -rf /srv/shop/cache/{cleared}")
        project.fab("deploy", "-H", host.name)
        assert get(host) == text
