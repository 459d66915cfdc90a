"""A host that an earlier version set up and deployed to goes on with this one (older/README.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit import processes
from tests.kit.host import current, get, releases
from tests.kit.processes import running
from tests.kit.project import Project, new_project
from tests.kit.waiting import until

ARCHIVES = Path(__file__).parent / "older"


@dataclass(frozen=True)
class Older:
    """A host of an earlier version. Texts two, three and four are these releases; three is live,
    and the switch to four is not confirmed."""

    archive: str
    two: str
    three: str
    four: str


BEFORE_ROOMS = Older(
    "host",
    "0.0.0.gf8977dae0f32.36b3a002",
    "0.0.0.g8c11b66d2e0a.0b031784",
    "0.0.0.g8f01ec57ebc9.4c724599",
)
WEB_ALONE = Older(
    "web-alone",
    "0.0.0.gf8977dae0f32.d317edfa",
    "0.0.0.g8c11b66d2e0a.2e3ed17d",
    "0.0.0.g8f01ec57ebc9.c73fe7de",
)

TIMER = """
[timers.cleanup]
command = "python -c pass"
schedule = "0 3 * * *"
"""

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


def older(host: LabHost, version: Older) -> LabHost:
    """As after a power cut in the midst of its fourth deploy, before anything has started."""
    archive = ARCHIVES / f"{version.archive}.tar.xz"
    host.path("/root/older.tar.xz").write_bytes(archive.read_bytes())
    host.sh(PREPARE, timeout=300)
    return host


@pytest.mark.nightly
@pytest.mark.parametrize("version", [BEFORE_ROOMS, WEB_ALONE])
def test_the_host_puts_itself_in_order_and_goes_on(
    host: LabHost, project: Project, version: Older
) -> None:
    """Power cut and boot; status, plan, rollback, deploy; processes; uninstall."""
    older(host, version)
    on = ("-H", host.name)
    host.power_cut()
    host.boot()
    until(lambda: get(host) == "three", 60)
    assert current(host, "shop") == version.three
    assert not host.path("/srv/shop/pending.json").exists()
    status = project.fab("status", *on)
    assert version.three in status.out
    assert "healthy" in status.out
    rows = json.loads(project.fab("ps", *on, "--json").out.splitlines()[-1])["hosts"][0]["answer"]
    assert [(one["process"], one["state"]) for one in rows["instances"]] == [("web", "running")]
    assert "nothing to show" in project.fab("timer.list", *on).text
    project.app("five")
    plan = project.fab("plan", *on)
    assert version.three in plan.out
    project.fab("rollback", *on)
    assert (current(host, "shop"), get(host)) == (version.two, "two")
    project.fab("deploy", *on)
    assert get(host) == "five"
    assert version.two in releases(host, "shop")
    project.fab("doctor", *on)
    project.fab("rollback", *on)
    assert get(host) == "two"
    assert version.three in project.fab("history", *on).out
    _gets_processes(host, project, version)
    project.fab("uninstall", *on, "--yes")
    left = host.sh("find / -xdev -path /proc -prune -o -name '*cartwheel*' -print; ls /srv")
    assert left == "/root/cartwheel\n" or not left.strip(), left


def _gets_processes(host: LabHost, project: Project, version: Older) -> None:
    """Processes and a timer come with a deploy, and go with a rollback to the older release, also
    with the one that a power cut makes."""
    on = ("-H", host.name)
    settings = (project.folder / "config/deploy.toml").read_text()
    project.write(f"app/{processes.MODULE}.py", processes.PROGRAM)
    project.settings(settings + processes.SETTINGS + TIMER)
    plan = project.fab("plan", *on).out
    assert "starts 2 worker" in plan
    assert "timer + cleanup" in plan
    project.fab("deploy", *on)
    everything = {"web": 1, **processes.COUNTS}
    assert running(host) == everything
    assert timers(host) == ["cartwheel-shop_timer.cleanup.timer"]
    project.fab("timer.run", *on, "--name", "cleanup", "--follow")
    project.fab("rollback", *on)
    assert (current(host, "shop"), get(host)) == (version.two, "two")
    assert running(host).keys() <= {"web"}
    assert timers(host) == []
    project.app("six")
    project.settings(
        settings.replace("probation_seconds = 0.5", "probation_seconds = 50")
        + processes.SETTINGS
        + TIMER
    )
    with project.begin("deploy", *on) as deploying:
        until(lambda: current(host, "shop") != version.two and timers(host) != [], 60)
        assert host.path("/srv/shop/pending.json").exists()
        host.power_cut()
        deploying.kill()
    host.boot()
    until(lambda: get(host) == "two", 60)
    assert running(host).keys() <= {"web"}
    assert timers(host) == []
    project.fab("status", *on)
    project.settings(settings + processes.SETTINGS + TIMER)
    project.fab("deploy", *on)
    assert get(host) == "six"
    assert running(host) == everything


def timers(host: LabHost) -> list[str]:
    rows = host.sh("systemctl list-units --plain --no-legend 'cartwheel-shop_timer.*.timer'")
    return [row.split()[0] for row in rows.splitlines()]


@pytest.mark.parametrize(
    "version", [BEFORE_ROOMS, pytest.param(WEB_ALONE, marks=pytest.mark.nightly)]
)
def test_the_next_deploy_finds_the_pending_switch(
    host: LabHost, project: Project, version: Older
) -> None:
    """Without a boot: nothing of it runs, and the switch is not confirmed."""
    older(host, version)
    host.sh("systemctl daemon-reload; systemctl restart nginx")
    status = project.fab("status", "-H", host.name, code=1)
    assert f"the switch to {version.four} is not confirmed" in status.text
    project.app("five")
    project.fab("deploy", "-H", host.name)
    assert get(host) == "five"
    assert not host.path("/srv/shop/pending.json").exists()
    project.fab("rollback", "-H", host.name)
    assert (current(host, "shop"), get(host)) == (version.three, "three")


@pytest.mark.nightly
def test_a_cache_that_somebody_cleared_is_made_anew(host: LabHost, project: Project) -> None:
    """People make room on a full disk; what they take is only kept, never needed."""
    project.fab("setup", "-H", host.name)
    for text, cleared in (("one", "pip"), ("two", "wheels"), ("three", "*"), ("four", "")):
        project.app(text)
        host.sh(f"rm -rf /srv/shop/cache/{cleared}")
        project.fab("deploy", "-H", host.name)
        assert get(host) == text
