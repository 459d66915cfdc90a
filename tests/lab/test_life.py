"""The life of an application on a real host, from setup to uninstall, on every suite."""

from __future__ import annotations

import re
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cartwheel.ssh.bundle import host_modules
from cartwheel_lab import LabHost
from tests.kit.host import (
    await_ends,
    await_sessions,
    current,
    get,
    journal,
    main_pids,
    marks,
    releases,
    touched,
)
from tests.kit.project import Done, Project, new_project
from tests.kit.terminal import on_terminal
from tests.kit.tiers import tiered
from tests.kit.waiting import until
from tests.lab.conftest import GetHosts

# All that Cartwheel and the package manager write to; nginx's own logs grow with each request.
WRITTEN = ("/etc", "/srv", "/usr/local", "/var/lib/cartwheel", "/var/log/cartwheel")
JOURNAL = "/srv/shop/journal.jsonl"


def answers(host: LabHost, text: str) -> bool:
    try:
        return get(host) == text
    except (urllib.error.URLError, OSError):
        return False


@dataclass(frozen=True)
class Life:
    """A host, and a project whose application `shop` serves on it."""

    host: LabHost
    project: Project

    def fab(self, *words: str, code: int | None = 0) -> Done:
        return self.project.fab(*words, "-H", self.host.name, code=code)

    def deploy(self, text: str) -> str:
        """Deploy a release that says `text`; its name."""
        self.project.app(text)
        self.fab("deploy")
        assert get(self.host) == text
        return current(self.host, "shop")


@pytest.fixture(scope="module", params=tiered(["bookworm", "trixie"], nightly={"trixie"}))
def life(
    request: pytest.FixtureRequest, hosts: GetHosts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Life]:
    """Set up and deployed once for each suite; the last test uninstalls it."""
    host = hosts(1, request.param)[0]
    host.reset()
    one = Life(host, new_project(tmp_path_factory.mktemp(request.param)))
    one.fab("setup")
    one.fab("deploy")
    yield one
    host.reset()


def test_a_second_setup_changes_nothing(life: Life) -> None:
    before = marks(life.host, *WRITTEN), life.host.sh("getent passwd; getent group")
    assert "nothing to do" in life.fab("setup").out
    after = marks(life.host, *WRITTEN), life.host.sh("getent passwd; getent group")
    assert touched(before[0], after[0]) == set()
    assert before[1] == after[1]


def test_an_unchanged_deploy_writes_one_journal_line_and_nothing_else(life: Life) -> None:
    life.deploy("one")
    pids, entries = main_pids(life.host, "shop"), journal(life.host, "shop")
    workers = life.host.sh("pgrep -u shop").split()
    assert len(pids) == 1
    before = marks(life.host, *WRITTEN)
    assert "unchanged" in life.fab("deploy").text
    assert touched(before, marks(life.host, *WRITTEN)) == {JOURNAL}
    new = journal(life.host, "shop")[len(entries) :]
    assert [(line["kind"], line["result"]) for line in new] == [("deploy", "unchanged")]
    assert main_pids(life.host, "shop") == pids
    assert life.host.sh("pgrep -u shop").split() == workers
    await_sessions(life.host)


@pytest.mark.nightly
def test_each_rollback_goes_one_further_back(life: Life) -> None:
    first = life.deploy("first")
    second = life.deploy("second")
    third = life.deploy("third")
    life.fab("rollback")
    assert (current(life.host, "shop"), get(life.host)) == (second, "second")
    life.fab("rollback")
    assert (current(life.host, "shop"), get(life.host)) == (first, "first")
    # What was rolled away from is no way back from what comes later.
    fourth = life.deploy("fourth")
    life.fab("rollback")
    assert (current(life.host, "shop"), get(life.host)) == (first, "first")
    # ... unless it is named, by release or by version.
    life.fab("rollback", "--to", third)
    assert (current(life.host, "shop"), get(life.host)) == (third, "third")
    versions = {line["release"]: line["version"] for line in journal(life.host, "shop")}
    life.fab("rollback", "--to", versions[fourth])
    assert (current(life.host, "shop"), get(life.host)) == (fourth, "fourth")
    assert len(main_pids(life.host, "shop")) == 1
    unknown = life.fab("rollback", "--to", "9.9", code=1)
    assert get(life.host) == "fourth", unknown.text


@pytest.mark.nightly
def test_a_restart_is_a_new_process_of_the_same_release(life: Life) -> None:
    release = life.deploy("same")
    (before,) = main_pids(life.host, "shop").items()
    there = releases(life.host, "shop")
    life.fab("restart")
    (after,) = main_pids(life.host, "shop").items()
    assert before != after
    assert (current(life.host, "shop"), get(life.host)) == (release, "same")
    assert releases(life.host, "shop") == there
    await_ends(life.host, "shop")
    life.fab("restart")
    assert main_pids(life.host, "shop").keys() == {before[0]}  # the first slot again


@pytest.mark.nightly
def test_a_stop_lasts_over_a_boot_until_start(life: Life) -> None:
    life.deploy("before the boot")
    life.fab("stop")
    assert not answers(life.host, "before the boot")
    assert main_pids(life.host, "shop") == {}
    life.host.power_cut()
    life.host.boot()
    until(lambda: boot_unit(life.host) == "active")
    assert main_pids(life.host, "shop") == {}
    assert not answers(life.host, "before the boot")
    life.project.app("after the boot")
    entries = journal(life.host, "shop")
    refused = life.fab("deploy", code=5)
    assert "stopped by" in refused.text
    assert main_pids(life.host, "shop") == {}
    assert journal(life.host, "shop") == entries

    life.fab("start")
    assert get(life.host) == "before the boot"
    life.deploy("after the boot")
    life.host.power_cut()
    life.host.boot()
    until(lambda: answers(life.host, "after the boot"))


def boot_unit(host: LabHost) -> str:
    done = host.exec(["systemctl", "is-active", "cartwheel-shop.service"])
    return done.stdout.decode().strip()


@pytest.mark.nightly
def test_prune_keeps_what_serves_and_the_way_back(life: Life) -> None:
    life.deploy("oldest")
    before = life.deploy("older")
    serves = life.deploy("newest")
    pids = main_pids(life.host, "shop")
    assert len(releases(life.host, "shop")) > 2
    life.fab("prune", "--keep", "1")
    assert releases(life.host, "shop") == {before, serves}
    wheels = life.host.sh("ls /srv/shop/cache/wheels").split()
    assert len(wheels) == 2
    assert main_pids(life.host, "shop") == pids
    assert "nothing to do" in life.fab("prune", "--keep", "1").out
    life.fab("rollback")
    assert get(life.host) == "older"


@pytest.mark.nightly
def test_tasks_that_only_look_change_nothing(life: Life) -> None:
    release = life.deploy("looked at")
    life.host.sh("cp /dev/null /var/log/nginx/shop.access.log")
    get(life.host, "/env/LOOKED_FOR")
    before = marks(life.host, *WRITTEN)
    status = life.fab("status").out
    assert release in status
    assert "healthy" in status
    listed = life.fab("releases").out
    assert re.search(rf"{re.escape(release)}.*live", listed, re.DOTALL), listed
    assert re.search(r"  previous$", listed, re.MULTILINE), listed
    history = life.fab("history").out
    assert re.search(rf"  deploy +{re.escape(release)}  done  ", history), history
    assert release in history
    logs = life.fab("logs", "--lines", "200").out
    assert "/env/LOOKED_FOR" in logs  # nginx's
    assert "Booting worker" in logs  # the app's
    doctor = life.fab("doctor").out
    assert "PROBLEM" not in doctor
    assert "no variables" not in life.fab("env.list").err
    assert touched(before, marks(life.host, *WRITTEN)) == set()


def test_run_is_the_apps_user_in_the_releases_environment(life: Life) -> None:
    release = life.deploy("runs")
    told = life.fab("run", "--command", 'id -un; pwd; command -v python; echo "$VIRTUAL_ENV"')
    folder = f"/srv/shop/releases/{release}/venv"
    assert told.out.splitlines()[-4:] == [
        "shop",
        "/srv/shop/shared",
        f"{folder}/bin/python",
        folder,
    ]
    assert life.fab("run", "--command", "exit 7", code=7).code == 7
    write = f"touch {folder}/mine || echo refused"
    assert "refused" in life.fab("run", "--command", write).out


def test_the_shell_is_interactive_and_passes_its_status_on(life: Life) -> None:
    life.deploy("shelled")
    typed = "tty && echo user=$(id -un)\nexit 3\n"
    words = ("shell", "-H", life.host.name)
    with on_terminal(life.project, *words, env={"TERM": "dumb"}) as terminal:
        terminal.until(lambda one: one.raw.rstrip().endswith(b"$"))
        terminal.type(typed)
        code, seen = terminal.end(), terminal.raw.decode(errors="replace")
    assert code == 3, seen
    assert "user=shop" in seen
    assert "/dev/pts/" in seen


@pytest.mark.nightly
def test_the_single_steps_touch_nothing_that_serves(life: Life) -> None:
    life.deploy("serves")
    served = serving_state(life.host)
    life.project.app("not yet")
    made = None
    for word in ("upload", "venv", "install", "configure"):
        life.fab(word)
        assert serving_state(life.host) == served, word
        left = set(life.host.sh("ls /srv/shop/releases").split())
        made = made or left
    (new,) = left - {entry["release"] for entry in journal(life.host, "shop")}
    # Each step is really there, and the release is not whole.
    folder = f"/srv/shop/releases/{new}"
    life.host.sh(f"test -x {folder}/venv/bin/gunicorn; test -s {folder}/gunicorn.conf.py")
    assert life.host.exec(["test", "-e", f"{folder}/release.json"]).returncode == 1
    pip = life.host.sh(f"stat -c %i {folder}/venv/bin/gunicorn")
    life.fab("deploy")  # goes on from there
    assert get(life.host) == "not yet"
    assert current(life.host, "shop") == new
    assert life.host.sh(f"stat -c %i {folder}/venv/bin/gunicorn") == pip


def serving_state(host: LabHost) -> tuple[object, ...]:
    links = host.sh("cd /srv/shop; readlink current fallback previous || true")
    nginx = host.sh("systemctl show -p MainPID nginx; pgrep -x nginx")
    sites = host.sh("sha256sum /etc/nginx/conf.d/* /etc/systemd/system/cartwheel-*")
    return main_pids(host, "shop"), links, nginx, sites, journal(host, "shop"), get(host)


@pytest.mark.nightly
def test_uninstall_takes_everything_but_packages(life: Life) -> None:
    life.deploy("goes")
    life.fab("uninstall", "--yes")
    found = life.host.sh(
        "find / -xdev \\( -path /proc -o -path /sys -o -path '/var/lib/systemd' \\) -prune -o "
        "\\( -iname '*cartwheel*' -o -path '/srv/*' -o -name 'shop*' \\) -print; ls /run/cartwheel "
        "2>/dev/null || true; getent passwd shop || true; getent group shop shop-http || true",
        timeout=120,
    )
    assert found == ""
    assert "Welcome to nginx" in get(life.host)  # the default site is back
    assert life.host.sh("systemctl is-system-running || systemctl --failed") == "running\n"


@pytest.mark.nightly
@pytest.mark.parametrize("suite", ["bullseye", "trixie"])
def test_the_main_line_on_other_suites(hosts: GetHosts, tmp_path: Path, suite: str) -> None:
    """Python 3.9, systemd 247, nginx 1.18; Python 3.13, systemd 257, nginx 1.26."""
    host = hosts(1, suite)[0]
    host.reset()
    old = Life(host, new_project(tmp_path))
    old.fab("setup")
    assert "nothing to do" in old.fab("setup").out
    first = old.deploy("first")
    assert "unchanged" in old.fab("deploy").text
    old.deploy("second")
    old.fab("rollback")
    assert (current(host, "shop"), get(host)) == (first, "first")
    old.fab("restart")
    assert "healthy" in old.fab("status").out
    modules = "; ".join(f"import {name}" for name in sorted(host_modules()))
    host.sh(f"cd /usr/local/lib/cartwheel/shop/current; python3 -B -W error -c '{modules}'")
    host.power_cut()
    host.boot()
    until(lambda: answers(host, "first"))
    old.fab("uninstall", "--yes")
    assert host.exec(["test", "-e", "/srv/shop"]).returncode == 1


@pytest.mark.nightly
def test_setup_brings_python_to_a_host_without(hosts: GetHosts, tmp_path: Path) -> None:
    host = hosts(1, "bookworm", python=False)[0]
    host.reset()
    bare = Life(host, new_project(tmp_path))
    refused = bare.fab("deploy", code=1)
    assert "CW208" in refused.text
    assert "fab setup" in refused.text
    bare.fab("setup")
    bare.fab("deploy")
    assert get(host) == "one"
    assert "nothing to do" in bare.fab("setup").out
    host.sh("rm /usr/bin/python3")  # its package is there, and so is python3.11
    assert "there is no python3" in bare.fab("status", code=1).text
    bare.fab("setup")
    bare.fab("status")
