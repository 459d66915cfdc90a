"""What a host has for its own people changes nothing of ours: what a login's shell exports, what
sudo narrows, what its pip is told, what its programs complain of."""

from __future__ import annotations

import re

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import current, get, main_pids
from tests.kit.project import Project, new_project

pytestmark = pytest.mark.timeout(300)

# A library that is not there: every program complains of it on standard error, and goes on.
_NOWHERE = "/no/such/library.so"
_EXPORTS = f"""
export LD_PRELOAD={_NOWHERE} LD_LIBRARY_PATH=/var/tmp/evil PYTHONPATH=/var/tmp/evil
export PYTHONHOME=/nowhere PYTHONSTARTUP=/nowhere TMPDIR=/nowhere PATH=/usr/bin:/bin
export PIP_TARGET=/var/tmp/target PIP_CONFIG_FILE=/nowhere PIP_INDEX_URL=http://127.0.0.1:9/
export PIP_REQUIRE_VIRTUALENV=1 UV_INDEX_URL=http://127.0.0.1:9/ UV_OFFLINE=1
export GIT_DIR=/nowhere SYSTEMD_PAGER=/nowhere SYSTEMD_COLORS=1 LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8
export http_proxy=http://127.0.0.1:9/ https_proxy=http://127.0.0.1:9/ BASH_ENV=/nowhere
export SYSTEMCTL_FORCE_BUS=1 DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere CDPATH=/
"""
_SUDOERS = """
Defaults secure_path="/usr/bin:/bin"
Defaults env_keep += "LD_PRELOAD LD_LIBRARY_PATH PYTHONPATH PYTHONHOME PIP_TARGET TMPDIR"
Defaults env_keep += "LC_ALL LANG http_proxy"
"""
# Next to the index what nobody can mean for a release.
_PIP = """
timeout = 30
log = /nowhere/pip.log
no-such-option = 1
[install]
target = /var/tmp/target
user = true
require-virtualenv = true
"""


@pytest.fixture(scope="module")
def host(module_host: LabHost) -> LabHost:
    module_host.path("/etc/sudoers.d/zz-narrow").write_text(_SUDOERS)
    for home in ("/root", "/home/deploy"):
        module_host.path(f"{home}/.bashrc").write_text(_EXPORTS)
    module_host.sh("mkdir /var/tmp/evil; chmod 755 /var/tmp/evil")
    module_host.path("/var/tmp/evil/sitecustomize.py").write_text("open('/var/tmp/ran', 'w')\n")
    module_host.path("/etc/environment").write_text("LD_BIND_NOT=1\nPYTHONPATH=/var/tmp/evil\n")
    path = module_host.path("/etc/pip.conf")
    path.write_text(f"{path.read_text()}{_PIP}")
    module_host.path("/etc/ld.so.preload").write_text(f"{_NOWHERE}\n")
    return module_host


@pytest.mark.nightly
@pytest.mark.parametrize("user", ["root", "deploy"])
def test_a_whole_life(host: LabHost, user: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Setup, a first deploy, another one, a restart, a rollback, and what looks at it."""
    name = f"shop{user[0]}"
    project = new_project(tmp_path_factory.mktemp(name), name=name)
    text = (project.folder / "config/deploy.toml").read_text()
    project.settings(f'{text}[ssh]\nuser = "{user}"\n')
    there = ("-H", host.name)
    project.fab("setup", *there)
    _asks_for_a_package(project)
    project.fab("deploy", *there)
    first = current(host, name)
    project.app("two")
    _asks_for_a_package(project)
    assert "unchanged" not in project.fab("deploy", *there).out
    assert get(host) == "two"
    assert "unchanged" in project.fab("deploy", *there).out
    project.fab("restart", *there)
    assert len(main_pids(host, name)) == 1
    assert "healthy" in project.fab("status", *there).out
    known = project.fab("run", *there, "--command", "env").out
    for variable in ("LD_PRELOAD", "PYTHONPATH", "PIP_", "UV_", "GIT_DIR", "TMPDIR", "http_proxy"):
        assert variable not in known
    lines = project.fab("logs", *there).out.splitlines()
    ours = re.compile(r"\[[\w.]+\] \S+ \S+ [\w-]+: ")  # host, time and source
    assert not [one for one in lines if not ours.match(one) and "library.so" in one], "journalctl's"
    assert project.fab("doctor", *there, code=None).code == 0
    project.fab("rollback", *there)
    assert current(host, name) == first
    assert not host.path("/var/tmp/target").exists()
    assert not host.path("/var/tmp/ran").exists()
    project.fab("uninstall", *there, "--yes")


def _asks_for_a_package(project: Project) -> None:
    """One that comes from the index which the host's pip.conf names."""
    project.write("app/requirements.txt", "itsdangerous\n")
